/* Ticks → candles: one pass in arrival order, with a state for each instrument.
 *
 * Called through native.py by analytics/engine.py, which allocates all memory; the structs and the
 * trading calendar are repeated in analytics/candle_structs.py. tests/analytics/reference.py states
 * the same rules in plain Python, with the same names. Times are microseconds since the epoch (UTC);
 * a clock is microseconds since midnight in India. The interpreter's lock is not held here.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define IST (19800 * SECOND)
#define NEVER INT64_MIN
#define FRESH (60 * SECOND)   /* a trade this recent counts as current */
#define CLOSING (600 * SECOND) /* time after the close in which nothing trades */

/* Columns of ticks, from Arrow streams --------------------------------------------------------- */

struct array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct array **children, *dictionary;
    void (*release)(struct array *);
    void *private_data;
};

struct stream {
    int (*get_schema)(struct stream *, void *);
    int (*get_next)(struct stream *, struct array *);
    const char *(*get_last_error)(struct stream *);
    void (*release)(struct stream *);
    void *private_data;
};

enum field {
    TOKEN,
    SEEN, /* the time that bars are cut on */
    ARRIVED,
    SNAPSHOT,
    PRICE,
    VOLUME,
    AVERAGE,
    OI,
    TRADED, /* the time of the last trade */
    DAY_OPEN,
    DAY_HIGH,
    DAY_LOW,
    SYMBOL,
    FIELDS
};

/* The current chunk of a column, and the position in it. Without a stream there is one chunk,
 * owned by the caller; without a chunk, every value is null.
 */
struct column {
    struct stream *stream;
    struct array chunk;
    int64_t place;
};

struct cursor {
    struct column columns[FIELDS];
    int64_t row; /* rows read, over all calls */
};

static inline int is_valid(const struct column *column, int64_t i)
{
    if (!column->chunk.buffers)
        return 0;
    const uint8_t *bits = column->chunk.buffers[0];
    i += column->chunk.offset + column->place;
    return !bits || (bits[i >> 3] >> (i & 7) & 1);
}

#define VALUE(TYPE, COLUMN, I)                                                                     \
    (((const TYPE *)(COLUMN)->chunk.buffers[1])[(COLUMN)->chunk.offset + (COLUMN)->place + (I)])

static inline int is_true(const struct column *column, int64_t i)
{
    if (!is_valid(column, i))
        return 0;
    const uint8_t *bits = column->chunk.buffers[1];
    i += column->chunk.offset + column->place;
    return bits[i >> 3] >> (i & 7) & 1;
}

/* Return how many rows all columns have before one of them needs its next chunk; 0 at the end. */
static int64_t ready(struct cursor *cursor)
{
    int64_t rows = INT64_MAX;
    for (struct column *column = cursor->columns; column < cursor->columns + FIELDS; column++) {
        if (!column->stream && !column->chunk.buffers)
            continue;
        while (column->place == column->chunk.length) {
            if (!column->stream)
                return 0;
            if (column->chunk.release)
                column->chunk.release(&column->chunk);
            memset(&column->chunk, 0, sizeof column->chunk);
            column->place = 0;
            if (column->stream->get_next(column->stream, &column->chunk) || !column->chunk.release)
                return 0;
        }
        const int64_t rest = column->chunk.length - column->place;
        rows = rest < rows ? rest : rows;
    }
    return rows == INT64_MAX ? 0 : rows;
}

/* Release what the columns still hold. */
PUBLIC void candle_close(struct cursor *cursor)
{
    for (struct column *column = cursor->columns; column < cursor->columns + FIELDS; column++)
        if (column->stream && column->chunk.release)
            column->chunk.release(&column->chunk);
}

/* The state ------------------------------------------------------------------------------------ */

struct market {
    int64_t pre_open, opens, closes[2], resumes, settles; /* clocks; closes in winter and summer */
    int64_t newest;                                       /* the latest time of its instruments */
    int64_t horizon;                                      /* the place of its present day */
};

struct horizon {
    int64_t market, day, newest;
};

struct bar {
    int64_t start, end, opened_at, closed_at;
    double open, high, low, close;
    int64_t volume, turnover, priced, priced_turnover, count;
    int32_t slot, name;
    uint32_t ticks, oi;
    uint8_t has_oi, is_shown, is_settled, unused[5];
};

struct state {
    uint32_t token;
    int32_t name;
    uint32_t symbol; /* as the column has it; see `has_symbol` */
    int32_t market;
    int64_t newest, reached; /* the latest time that bars are cut on; the latest of any kind */
    int64_t day, base, dip;  /* the day of the count, the count so far, a smaller one that came */
    int64_t worth;           /* average price × count */
    int64_t pending_volume, pending_turnover;
    int64_t bar; /* the place of its newest bar; -1: none */
    int64_t official_day, official_at;
    double official_open, official_high, official_low;
    double price;
    double divisor;
    uint8_t has_symbol, base_of, is_rising, is_on_arrival, unused[4];
};

/* What the count of the day is based on. */
enum { NOTHING, DAY_BEFORE, SNAPSHOT_ONLY, PACKET };

struct engine {
    int64_t interval, any_hour, check_arrival, ahead, earliest;
    struct state *states;
    int64_t slots, slot_room;
    int32_t *table; /* slot + 1 by hash of token; 0: empty */
    int64_t table_size;
    struct bar *bars;
    int64_t bar_count, bar_room;
    struct market *markets;
    struct horizon *horizons;
    int64_t horizon_count, horizon_room;
    int64_t *name_rows; /* the row in which each new name came */
    int64_t names, first_new_name, name_room;
    const uint8_t *market_of; /* by segment code */
    const uint8_t *needs_symbol;
    const double *divisors;
    const uint8_t *is_summer; /* by day, from `first_day` */
    int64_t first_day, days;
    int64_t day, midnight; /* of the last row: most rows are of one day */
    int64_t asked;         /* the slot whose market is asked for; -1: none */
    int64_t begins;        /* bars that start earlier lack ticks */
    int64_t last_settled;  /* the latest start of a settled bar */
    int64_t on_arrival;    /* instruments with bars that are cut on arrival */
};

/* Why a pass ended. */
enum { DONE, NEEDS_SLOTS, NEEDS_BARS, NEEDS_HORIZONS, NEEDS_MARKET };

static inline uint64_t hash(uint32_t token, int64_t size)
{
    return ((token * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (uint64_t)(size - 1);
}

/* Insert all slots into an empty table. */
PUBLIC void candle_rehash(struct engine *engine)
{
    for (int64_t slot = 0; slot < engine->slots; slot++) {
        uint64_t place = hash(engine->states[slot].token, engine->table_size);
        while (engine->table[place])
            place = (place + 1) & (uint64_t)(engine->table_size - 1);
        engine->table[place] = (int32_t)slot + 1;
    }
}

static inline struct state *state_of(struct engine *engine, uint32_t token)
{
    uint64_t place = hash(token, engine->table_size);
    for (int32_t slot; (slot = engine->table[place]);
         place = (place + 1) & (uint64_t)(engine->table_size - 1))
        if (engine->states[slot - 1].token == token)
            return &engine->states[slot - 1];
    if (engine->slots == engine->slot_room)
        return NULL;
    struct state *state = &engine->states[engine->slots];
    memset(state, 0, sizeof *state);
    state->token = token;
    state->name = -1;
    state->market = engine->needs_symbol[token & 0xFF] ? -1 : engine->market_of[token & 0xFF];
    state->newest = state->reached = state->day = state->official_day = NEVER;
    state->dip = state->bar = -1;
    state->price = NAN;
    state->divisor = engine->divisors[token & 0xFF];
    engine->table[place] = (int32_t)++engine->slots;
    return state;
}

static inline int64_t closes_on(const struct engine *engine, const struct market *market,
                                int64_t day)
{
    const int64_t place = day - engine->first_day;
    return market->closes[place >= 0 && place < engine->days && engine->is_summer[place]];
}

/* Advance the clock of a tick's market. Returns 0 if out of room. */
static inline int advance(struct engine *engine, int64_t number, int64_t day, int64_t time)
{
    struct market *market = &engine->markets[number];
    if (time > market->newest)
        market->newest = time;
    if (market->horizon < 0 || engine->horizons[market->horizon].day != day) {
        int64_t place = engine->horizon_count - 1;
        while (place >= 0 && (engine->horizons[place].market != number ||
                              engine->horizons[place].day != day))
            place--;
        if (place < 0) {
            if (engine->horizon_count == engine->horizon_room)
                return 0;
            place = engine->horizon_count++;
            engine->horizons[place] = (struct horizon){number, day, time};
        }
        market->horizon = place;
    }
    struct horizon *horizon = &engine->horizons[market->horizon];
    if (time > horizon->newest)
        horizon->newest = time;
    return 1;
}

static inline int64_t floor_divide(int64_t number, int64_t divisor)
{
    const int64_t quotient = number / divisor;
    return quotient - (number % divisor < 0);
}

static inline int64_t raw(double price, double divisor)
{
    const double scaled = price * divisor;
    return (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
}

static inline void begin_day(struct state *state, int64_t day)
{
    state->base_of = state->day == NEVER ? NOTHING : DAY_BEFORE;
    state->day = day;
    state->base = state->worth = 0;
    state->pending_volume = state->pending_turnover = 0; /* traded after the last bar of its day */
    state->dip = -1;
    state->is_rising = 0;
}

/* Return the quantity traded since the previous packet, and its turnover; see `own` in the
 * reference.
 */
static inline int64_t own_volume(struct state *state, int64_t volume, int64_t worth, int has_worth,
                                 int is_snapshot, int is_todays, int64_t *turnover)
{
    const int is_base = state->base_of == NOTHING || (is_snapshot && state->base_of == DAY_BEFORE);
    int64_t own = 0;
    *turnover = 0;
    if (is_base) {
        state->base_of = is_snapshot ? SNAPSHOT_ONLY : PACKET;
    } else if (volume >= state->base) {
        own = volume - state->base;
        *turnover = has_worth ? (int64_t)((uint64_t)worth - (uint64_t)state->worth) : 0;
        state->is_rising |= own > 0 && state->base_of != DAY_BEFORE;
        if (!is_snapshot || own > 0)
            state->base_of = PACKET;
    } else if (!state->is_rising && (state->base_of == SNAPSHOT_ONLY ||
                                     (state->dip >= 0 && volume >= state->dip))) {
        own = volume; /* the previous count was yesterday's */
        *turnover = has_worth ? worth : 0;
        state->base_of = PACKET;
        state->is_rising = 1;
        state->official_day = NEVER;
    } else {
        state->dip = volume;
        return 0;
    }
    state->is_rising |= is_todays;
    state->base = volume;
    state->dip = -1;
    if (has_worth)
        state->worth = worth;
    return own;
}

static inline struct bar *open_bar(struct engine *engine, struct state *state, int64_t start,
                                   int64_t end, int64_t time, double price)
{
    struct bar *bar = &engine->bars[engine->bar_count];
    memset(bar, 0, sizeof *bar);
    bar->start = start;
    bar->end = end;
    bar->opened_at = bar->closed_at = time;
    bar->open = bar->high = bar->low = bar->close = price;
    bar->slot = (int32_t)(state - engine->states);
    state->bar = engine->bar_count++;
    return bar;
}

/* Process rows until they end or something is needed. Returns the reason. */
PUBLIC int64_t candle_rows(struct engine *engine, struct cursor *cursor)
{
    const struct column *in = cursor->columns;
    for (int64_t rows; (rows = ready(cursor));) {
        int64_t i = 0;
        int64_t reason = DONE;
        for (; i < rows; i++) {
            if (!is_valid(&in[TOKEN], i) || !is_valid(&in[PRICE], i))
                continue;
            const int has_arrived = is_valid(&in[ARRIVED], i);
            const int64_t arrived = has_arrived ? VALUE(int64_t, &in[ARRIVED], i) : NEVER;
            int has_seen = is_valid(&in[SEEN], i);
            const int is_missing = !has_seen;
            const int64_t seen = has_seen ? VALUE(int64_t, &in[SEEN], i) : NEVER;
            if (has_seen && (seen < engine->earliest || (has_arrived && engine->check_arrival &&
                                                         seen > arrived + engine->ahead)))
                has_seen = 0; /* it cannot be */
            if (!has_seen && (!has_arrived || arrived < engine->earliest))
                continue;
            const int64_t time = has_seen ? seen : arrived;

            struct state *state = state_of(engine, VALUE(uint32_t, &in[TOKEN], i));
            if (!state) {
                reason = NEEDS_SLOTS;
                break;
            }
            const int has_symbol = is_valid(&in[SYMBOL], i);
            const uint32_t symbol = has_symbol ? VALUE(uint32_t, &in[SYMBOL], i) : 0;
            if (state->name < 0 || state->has_symbol != has_symbol || state->symbol != symbol) {
                if (engine->names - engine->first_new_name == engine->name_room) {
                    reason = NEEDS_SLOTS;
                    break;
                }
                engine->name_rows[engine->names - engine->first_new_name] = cursor->row + i;
                state->name = (int32_t)engine->names++;
                state->has_symbol = (uint8_t)has_symbol;
                state->symbol = symbol;
            }
            if (state->market < 0) {
                engine->asked = state - engine->states;
                reason = NEEDS_MARKET;
                break;
            }
            if (engine->bar_count == engine->bar_room) {
                reason = NEEDS_BARS;
                break;
            }
            if (time < engine->midnight || time >= engine->midnight + DAY) {
                engine->day = floor_divide(time + IST, DAY);
                engine->midnight = engine->day * DAY - IST;
            }
            const int64_t day = engine->day, clock = time - engine->midnight;
            const struct market *market = &engine->markets[state->market];
            if (!advance(engine, state->market, day, time)) {
                reason = NEEDS_HORIZONS;
                break;
            }

            const int is_snapshot = is_true(&in[SNAPSHOT], i);
            const double price = VALUE(double, &in[PRICE], i);
            const int has_volume = is_valid(&in[VOLUME], i);
            const int64_t volume = has_volume ? VALUE(uint32_t, &in[VOLUME], i) : 0;
            const int has_traded_at = is_valid(&in[TRADED], i);
            const int64_t since = has_traded_at ? VALUE(int64_t, &in[TRADED], i) - engine->midnight : 0;
            const int is_todays = has_traded_at && since >= 0 && since < DAY;
            const int is_fresh = is_todays && clock - since <= FRESH;
            const int is_early = !engine->any_hour && clock < market->pre_open && !is_fresh;
            const int has_traded =
                !is_early && (!has_volume || volume > 0) && (!has_traded_at || is_todays);
            const int is_late = has_seen && seen < state->newest;
            if (has_seen && seen > state->newest)
                state->newest = seen;
            const int64_t reached = state->reached;
            if (time > state->reached)
                state->reached = time;

            /* The count. */
            int64_t own = 0, turnover = 0;
            const int64_t wire_price = raw(price, state->divisor);
            if (!is_late && has_volume && day >= state->day) {
                if (day > state->day)
                    begin_day(state, day);
                if (has_traded) {
                    const int has_average = is_valid(&in[AVERAGE], i);
                    const int64_t worth =
                        has_average ? (int64_t)((uint64_t)raw(VALUE(double, &in[AVERAGE], i),
                                                              state->divisor) *
                                                (uint64_t)volume)
                                    : 0;
                    own = own_volume(state, volume, worth, has_average, is_snapshot, is_todays,
                                &turnover);
                } else if (state->base_of < SNAPSHOT_ONLY) {
                    state->base_of = PACKET; /* nothing has traded yet */
                }
                state->pending_volume += own;
                state->pending_turnover =
                    (int64_t)((uint64_t)state->pending_turnover + (uint64_t)turnover);
            }

            /* The day's high and low as the exchange has them. */
            const int is_official = has_traded && !is_late && is_valid(&in[DAY_HIGH], i) &&
                                    is_valid(&in[DAY_LOW], i) && VALUE(double, &in[DAY_HIGH], i) &&
                                    VALUE(double, &in[DAY_LOW], i);
            double new_high = -INFINITY, new_low = INFINITY;
            int64_t known_at = NEVER;
            if (is_official) {
                const double high = VALUE(double, &in[DAY_HIGH], i);
                const double low = VALUE(double, &in[DAY_LOW], i);
                if (state->official_day != day) {
                    state->official_day = day;
                    state->official_open = 0;
                    state->official_high = high;
                    state->official_low = low;
                } else {
                    known_at = state->official_at;
                    if (high > state->official_high)
                        state->official_high = new_high = high;
                    if (low < state->official_low)
                        state->official_low = new_low = low;
                }
                if (is_valid(&in[DAY_OPEN], i) && VALUE(double, &in[DAY_OPEN], i))
                    state->official_open = VALUE(double, &in[DAY_OPEN], i);
                state->official_at = time;
            }

            /* Whether the tick belongs to a bar, and at which time. */
            const int is_moved = has_volume ? own > 0 : state->price != price && !isnan(state->price);
            state->price = price;
            if (is_snapshot || !has_traded || price == 0)
                continue;
            struct bar *bar = state->bar < 0 ? NULL : &engine->bars[state->bar];
            int64_t at = clock, close = DAY;
            if (!engine->any_hour) {
                close = closes_on(engine, market, day);
                const int had_session = bar && bar->start >= engine->midnight &&
                                        bar->end <= engine->midnight + close;
                if (clock < market->opens) {
                    if (clock >= market->pre_open)
                        continue;
                } else if (clock >= close) {
                    const int is_quiet = clock < market->settles;
                    if (clock < close + CLOSING && own > 0 && reached < engine->midnight + close)
                        at = close - 1; /* nothing has traded since the close */
                    else if (had_session || (is_quiet && market->resumes < DAY) ||
                             !(is_fresh || (is_moved && !is_quiet)))
                        continue;
                    else
                        close = DAY; /* a session that is not in the calendar */
                }
            }
            const int64_t moment = engine->midnight + at;
            if (!bar || moment < bar->start || moment >= bar->end) {
                int64_t start, end;
                if (engine->interval == DAY) {
                    start = engine->midnight;
                    end = start + close;
                } else {
                    const int64_t opens = market->opens;
                    start = opens + floor_divide(at - opens, engine->interval) * engine->interval;
                    end = start + engine->interval;
                    end = engine->midnight + (end > close ? close : end);
                    start = engine->midnight + (start > 0 ? start : 0);
                }
                if (bar && start <= bar->start)
                    continue; /* its bar is over */
                bar = open_bar(engine, state, start, end, moment, price);
            } else if (bar->end <= reached || bar->is_shown) {
                continue;
            }
            bar->name = state->name;
            bar->ticks++;
            if (price > bar->high)
                bar->high = price;
            if (price < bar->low)
                bar->low = price;
            if (moment < bar->opened_at) {
                bar->opened_at = moment;
                bar->open = price;
            }
            if (moment >= bar->closed_at) {
                bar->closed_at = moment;
                bar->close = price;
                bar->has_oi = (uint8_t)is_valid(&in[OI], i);
                bar->oi = bar->has_oi ? VALUE(uint32_t, &in[OI], i) : 0;
            }
            if (is_missing && engine->check_arrival && !state->is_on_arrival) {
                state->is_on_arrival = 1;
                engine->on_arrival++;
            }
            if (is_late)
                continue;
            bar->volume += state->pending_volume;
            bar->turnover = (int64_t)((uint64_t)bar->turnover + (uint64_t)state->pending_turnover);
            state->pending_volume = state->pending_turnover = 0;
            bar->priced += own;
            bar->priced_turnover =
                (int64_t)((uint64_t)bar->priced_turnover + (uint64_t)own * (uint64_t)wire_price);
            if (has_volume && volume > bar->count)
                bar->count = volume;
            if (engine->interval == DAY && state->official_day == day) {
                if (state->official_open)
                    bar->open = state->official_open, bar->opened_at = engine->midnight;
                new_high = state->official_high;
                new_low = state->official_low;
            } else if (known_at < bar->start) {
                continue; /* the trade may have been before the bar */
            }
            if (new_high > bar->high)
                bar->high = new_high;
            if (new_low < bar->low)
                bar->low = new_low;
        }
        for (struct column *column = cursor->columns; column < cursor->columns + FIELDS; column++)
            column->place += column->chunk.buffers ? i : 0;
        cursor->row += i;
        if (reason)
            return reason;
    }
    return DONE;
}

/* State → columns ------------------------------------------------------------------------------ */

/* Whether no tick can change a bar any more. */
static inline int is_finished(const struct engine *engine, const struct bar *bar, int64_t patience)
{
    const struct state *state = &engine->states[bar->slot];
    return state->reached >= bar->end ||
           engine->markets[state->market].newest >= bar->end + patience;
}

/* Return the latest time of all markets. */
static int64_t latest(const struct engine *engine, int64_t markets)
{
    int64_t newest = NEVER;
    for (int64_t i = 0; i < markets; i++)
        newest = engine->markets[i].newest > newest ? engine->markets[i].newest : newest;
    return newest;
}

enum { AHEAD = 16, DIGIT = 11, BUCKETS = 1 << DIGIT, DIGITS = 6 };

/* Sort the bars that are not settled by start and token: their places, with room for twice as many.
 * Returns how many there are.
 */
PUBLIC int64_t candle_order(const struct engine *engine, int64_t *places, uint64_t *keys)
{
    static const uint64_t MASK = BUCKETS - 1;
    int64_t first = INT64_MAX, many = 0;
    for (int64_t i = 0; i < engine->bar_count; i++) {
        const struct bar *bar = &engine->bars[i];
        if (bar->is_settled)
            continue;
        places[many++] = i;
        first = bar->start < first ? bar->start : first;
    }
    int64_t histograms[DIGITS][BUCKETS];
    memset(histograms, 0, sizeof histograms);
    for (int64_t i = 0; i < many; i++) {
        const struct bar *bar = &engine->bars[places[i]];
        keys[i] = (uint64_t)((bar->start - first) / SECOND) << 32 | engine->states[bar->slot].token;
        for (int digit = 0; digit < DIGITS; digit++)
            histograms[digit][keys[i] >> digit * DIGIT & MASK]++;
    }
    int64_t *from = places, *to = places + many;
    uint64_t *key = keys, *next = keys + many;
    for (int digit = 0; digit < DIGITS && many; digit++) {
        int64_t *histogram = histograms[digit], sum = 0;
        if (histogram[key[0] >> digit * DIGIT & MASK] == many)
            continue;
        for (int64_t bucket = 0; bucket < BUCKETS; bucket++) {
            const int64_t size = histogram[bucket];
            histogram[bucket] = sum;
            sum += size;
        }
        for (int64_t i = 0; i < many; i++) {
            const int64_t place = histogram[key[i] >> digit * DIGIT & MASK]++;
            to[place] = from[i];
            next[place] = key[i];
        }
        int64_t *const places_before = from;
        uint64_t *const keys_before = key;
        from = to, to = places_before;
        key = next, next = keys_before;
    }
    if (from != places)
        memcpy(places, from, (size_t)many * sizeof *places);
    return many;
}

/* Count the sorted bars that can be settled: those that start before all that may still change, and
 * those that belong between bars that are settled.
 */
PUBLIC int64_t candle_done(const struct engine *engine, const int64_t *places, int64_t many,
                           int64_t markets, int64_t settling)
{
    const int64_t newest = latest(engine, markets);
    int64_t done = 0;
    for (int64_t i = 0; i < many; i++) {
        const struct bar *bar = &engine->bars[places[i]];
        const int is_first = !i || engine->bars[places[i - 1]].start < bar->start;
        if (is_first)
            done = i;
        if (bar->start > engine->last_settled && bar->end + settling > newest)
            return done;
    }
    return many;
}

/* Divide the turnover by the volume, where the rounding of Kite's average price does not show. */
static int average(const struct bar *bar, double divisor, double *price)
{
    if (bar->volume <= 0)
        return 0;
    const double worth = (double)bar->volume * divisor;
    /* Rounding is at most a quarter of the range; division is slow. */
    const int is_exact = (double)bar->count * 4 <= (bar->high - bar->low) * worth;
    if ((bar->turnover && is_exact) || bar->priced <= 0)
        *price = (double)bar->turnover / worth;
    else
        *price = (double)bar->priced_turnover / ((double)bar->priced * divisor);
    *price = (double)raw(*price, 1e6) / 1e6; /* an average has no more decimals */
    *price = *price < bar->low ? bar->low : *price > bar->high ? bar->high : *price;
    return 1;
}

/* The columns of candles in their order, then the bitmaps of what may be null. */
struct output {
    uint32_t *tokens;
    int32_t *names;
    int64_t *starts;
    double *opens, *highs, *lows, *closes;
    uint64_t *volumes;
    uint32_t *ticks, *oi;
    double *averages;
    uint8_t *partial, *has_oi, *has_average; /* all 0 */
};

/* Write bars into columns; bars that are over are marked, because they no longer change. */
PUBLIC void candle_columns(const struct engine *engine, const int64_t *places, int64_t many,
                           int64_t patience, const struct output *out)
{
    for (int64_t i = 0; i < many; i++) {
        if (i + AHEAD < many) { /* bars are in order of arrival */
            const struct bar *next = &engine->bars[places[i + AHEAD]];
            __builtin_prefetch(next);
            __builtin_prefetch((const char *)next + 64);
        }
        if (i + AHEAD / 2 < many)
            __builtin_prefetch(&engine->states[engine->bars[places[i + AHEAD / 2]].slot]);
        struct bar *bar = &engine->bars[places[i]];
        const struct state *state = &engine->states[bar->slot];
        const uint8_t bit = (uint8_t)(1 << (i & 7));
        out->tokens[i] = state->token;
        out->names[i] = bar->name;
        out->starts[i] = bar->start;
        out->opens[i] = bar->open;
        out->highs[i] = bar->high;
        out->lows[i] = bar->low;
        out->closes[i] = bar->close;
        out->volumes[i] = bar->volume > 0 ? (uint64_t)bar->volume : 0;
        out->ticks[i] = bar->ticks;
        out->oi[i] = bar->oi;
        out->averages[i] = 0;
        if (bar->has_oi)
            out->has_oi[i >> 3] |= bit;
        if (average(bar, state->divisor, &out->averages[i]))
            out->has_average[i >> 3] |= bit;
        const int is_whole = bar->start >= engine->begins;
        if (is_finished(engine, bar, patience))
            bar->is_shown = 1;
        if (!bar->is_shown || !is_whole)
            out->partial[i >> 3] |= bit;
    }
}

/* Settle bars into a block of columns. Keep those that may still change, and the newest of
 * each instrument.
 */
PUBLIC void candle_settle(struct engine *engine, const int64_t *places, int64_t many)
{
    for (int64_t i = 0; i < many; i++) {
        struct bar *bar = &engine->bars[places[i]];
        bar->is_settled = 1;
        if (bar->start > engine->last_settled)
            engine->last_settled = bar->start;
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < engine->bar_count; i++) {
        const struct bar *bar = &engine->bars[i];
        struct state *state = &engine->states[bar->slot];
        const int is_newest = state->bar == i;
        if (bar->is_settled && bar->is_shown && !is_newest)
            continue;
        if (is_newest)
            state->bar = kept;
        engine->bars[kept++] = *bar;
    }
    engine->bar_count = kept;
}

/* List the bars that are settled and may still change. Returns how many there are. */
PUBLIC int64_t candle_unsure(const struct engine *engine, int64_t *places)
{
    int64_t many = 0;
    for (int64_t i = 0; i < engine->bar_count; i++)
        if (engine->bars[i].is_settled && !engine->bars[i].is_shown)
            places[many++] = i;
    return many;
}
