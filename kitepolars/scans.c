/* Indicators: loops over bars in order, each with a memory for each instrument.
 *
 * Called by native.py for analytics/technical/scan.py, which makes all the memory. A row belongs to
 * the instrument of its slot. A missing value is NaN, going in and coming out. Whatever a loop knows
 * of earlier rows is in its memory, so rows may come all at once or in any number of parts: the
 * results are the same, bit for bit. The interpreter's lock is not held here.
 */

#include <math.h>
#include <stdint.h>

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

/* The value of the row before. Memory: one number a slot, NaN at first. */
PUBLIC void scan_before(const int32_t *slots, int64_t rows, const double *values, double *memory,
                        double *out) {
    for (int64_t row = 0; row < rows; row++) {
        out[row] = memory[slots[row]];
        memory[slots[row]] = values[row];
    }
}

/* The latest value that is not missing. Memory: one number a slot, NaN at first. */
PUBLIC void scan_fill(const int32_t *slots, int64_t rows, const double *values, double *memory,
                      double *out) {
    for (int64_t row = 0; row < rows; row++) {
        if (!isnan(values[row]))
            memory[slots[row]] = values[row];
        out[row] = memory[slots[row]];
    }
}

struct smooth {
    double value;
    double seen; /* values that are not missing */
};

/* Exponential smoothing that begins with the sum of the first values over a divisor. Missing values
 * are skipped; so are the first `skip` of the others. Memory: `struct smooth`, 0 at first. */
PUBLIC void scan_smooth(const int32_t *slots, int64_t rows, const double *values,
                        struct smooth *memory, int64_t skip, int64_t seed, double divisor,
                        double weight, double *out) {
    for (int64_t row = 0; row < rows; row++) {
        struct smooth *state = memory + slots[row];
        double value = values[row];
        out[row] = NAN;
        if (isnan(value))
            continue;
        state->seen += 1;
        if (state->seen <= skip)
            continue;
        if (state->seen > skip + seed)
            state->value += (value - state->value) * weight;
        else if (state->seen < skip + seed) {
            state->value += value;
            continue;
        } else
            state->value = (state->value + value) / divisor;
        out[row] = state->value;
    }
}

enum of_window { MEAN, WEIGHTED, DEVIATION, HIGHEST, LOWEST };

static double of_window(const double *ring, int64_t size, int64_t oldest, int64_t kind) {
    double result = 0;
    switch (kind) {
    case WEIGHTED:
        for (int64_t i = 0, place = oldest; i < size; i++, place++)
            result += (double)(i + 1) * ring[place < size ? place : place - size];
        return result / ((double)size * (double)(size + 1) / 2);
    case HIGHEST:
    case LOWEST:
        result = ring[0];
        for (int64_t i = 1; i < size; i++)
            if (isnan(ring[i]) || (kind == HIGHEST ? ring[i] > result : ring[i] < result))
                result = ring[i];
        return result;
    default:
        for (int64_t i = 0; i < size; i++)
            result += ring[i];
        result /= (double)size;
    }
    if (kind == DEVIATION) {
        double mean = result, squares = 0;
        for (int64_t i = 0; i < size; i++)
            squares += (ring[i] - mean) * (ring[i] - mean);
        result = sqrt(squares / (double)size);
    }
    return result;
}

/* A number of the last `size` values, this one included; missing while one of them is. Memory: the
 * last values of each slot, and how many came. */
PUBLIC void scan_window(const int32_t *slots, int64_t rows, const double *values, double *rings,
                        int64_t *counts, int64_t size, int64_t kind, double *out) {
    for (int64_t row = 0; row < rows; row++) {
        double *ring = rings + slots[row] * size;
        int64_t count = counts[slots[row]]++;
        ring[count % size] = values[row];
        out[row] = count + 1 < size ? NAN : of_window(ring, size, (count + 1) % size, kind);
    }
}

enum of_session { SUM, MAXIMUM, MINIMUM, FIRST };

struct since {
    double value; /* NaN at first */
    int64_t session;
};

/* The sum, maximum, minimum or first of the values since a session began; missing until there is
 * one. */
PUBLIC void scan_since(const int32_t *slots, int64_t rows, const double *values,
                       const int64_t *sessions, struct since *memory, int64_t kind, double *out) {
    for (int64_t row = 0; row < rows; row++) {
        struct since *state = memory + slots[row];
        double value = values[row];
        if (state->session != sessions[row]) {
            state->session = sessions[row];
            state->value = NAN;
        }
        if (!isnan(value)) {
            if (isnan(state->value))
                state->value = value;
            else if (kind == SUM)
                state->value += value;
            else if ((kind == MAXIMUM && value > state->value) ||
                     (kind == MINIMUM && value < state->value))
                state->value = value;
        }
        out[row] = state->value;
    }
}

struct carry {
    double value, last; /* of the session before, and of this one so far; NaN at first */
    int64_t session;
};

/* The last value of the session before. */
PUBLIC void scan_carry(const int32_t *slots, int64_t rows, const double *values,
                       const int64_t *sessions, struct carry *memory, double *out) {
    for (int64_t row = 0; row < rows; row++) {
        struct carry *state = memory + slots[row];
        if (state->session != sessions[row]) {
            state->session = sessions[row];
            state->value = state->last;
        }
        state->last = values[row];
        out[row] = state->value;
    }
}

struct bands {
    double lower, upper, close; /* NaN at first */
    double is_up;
};

/* Supertrend. A band moves towards the price only, until a close was beyond it. */
PUBLIC void scan_supertrend(const int32_t *slots, int64_t rows, const double *middle,
                            const double *close, const double *distance, struct bands *memory,
                            double *line, double *direction) {
    for (int64_t row = 0; row < rows; row++) {
        struct bands *state = memory + slots[row];
        double lower = middle[row] - distance[row], upper = middle[row] + distance[row];
        line[row] = direction[row] = NAN;
        if (isnan(lower))
            continue;
        int is_first = isnan(state->close);
        if (!is_first) {
            if (!(lower > state->lower || state->close < state->lower))
                lower = state->lower;
            if (!(upper < state->upper || state->close > state->upper))
                upper = state->upper;
        }
        int is_up = is_first          ? 0
                    : state->is_up != 0 ? !(close[row] < lower)
                                        : close[row] > upper;
        *state = (struct bands){lower, upper, close[row], is_up};
        line[row] = is_up ? lower : upper;
        direction[row] = is_up ? 1 : -1;
    }
}

struct truth {
    int64_t since;    /* when the condition began to hold; NEVER while it does not */
    int64_t fired_at; /* NEVER before the first time */
    int64_t known;    /* whether it was seen not to hold */
    int64_t spent;    /* whether it fired since it began to hold */
};

#define NEVER INT64_MIN

/* Which rows an alert fires at. Times are microseconds. A condition that is missing (2) neither
 * holds nor ceases. Returns how many; `out` has room for all rows. */
PUBLIC int64_t alert_rows(const int32_t *slots, int64_t rows, const uint8_t *holds,
                          const int64_t *times, struct truth *memory, int64_t duration,
                          int64_t cooldown, int64_t is_crossing, int64_t is_once, int64_t *out) {
    int64_t fired = 0;
    for (int64_t row = 0; row < rows; row++) {
        struct truth *state = memory + slots[row];
        int64_t now = times[row];
        if (holds[row] == 2)
            continue;
        if (!holds[row]) {
            state->since = NEVER;
            state->known = 1;
            state->spent = 0;
            continue;
        }
        if (state->since == NEVER) {
            state->since = now;
            if (is_crossing && !state->known)
                state->spent = 1;
        }
        if (state->spent || now - state->since < duration)
            continue;
        state->spent = 1;
        if (state->fired_at != NEVER && (is_once || now - state->fired_at < cooldown))
            continue;
        state->fired_at = now;
        out[fired++] = row;
    }
    return fired;
}
