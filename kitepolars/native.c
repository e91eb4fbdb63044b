/* The loops over packets and rows. native.py documents the arguments of each function.
 *
 * No memory is allocated here: callers provide all output buffers, and input from a server is
 * never read beyond the size of its messages. The tables that describe the wire come from
 * wire/layouts.py.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

static uint16_t big16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t big32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The interpreter -------------------------------------------------------------------------------*/

/* Functions of the interpreter, looked up by native.py, so that its headers are not needed. */
static struct {
    int (*is_initialized)(void);
    int (*take_lock)(void);
    void (*give_lock)(int);
    void (*let_go)(void *);
    void *(*list_item)(void *, ptrdiff_t);
    int (*bytes_of)(void *, const uint8_t **, ptrdiff_t *);
} python;

PUBLIC void use_interpreter(int (*is_initialized)(void), int (*take_lock)(void),
                            void (*give_lock)(int), void (*let_go)(void *),
                            void *(*list_item)(void *, ptrdiff_t),
                            int (*bytes_of)(void *, const uint8_t **, ptrdiff_t *))
{
    python.is_initialized = is_initialized;
    python.take_lock = take_lock;
    python.give_lock = give_lock;
    python.let_go = let_go;
    python.list_item = list_item;
    python.bytes_of = bytes_of;
}

/* Stream → messages ----------------------------------------------------------------------------*/

/* The steady stream is made of WebSocket frames of one kind: final, binary, neither compressed nor
 * masked (RFC 6455, section 5.2). All others go to the protocol machine.
 */
enum { STEADY = 0x82, MASKED = 0x80, TWO_BYTES = 126, EIGHT_BYTES = 127, PREFIX = 2 };

/* Read the head of a frame: where its payload begins and ends. Returns whether it is steady and
 * complete.
 */
static int read_head(const uint8_t *data, int64_t place, int64_t size, int64_t largest,
                     int64_t *begin, int64_t *end)
{
    if (size - place < 2 || data[place] != STEADY)
        return 0;
    uint64_t length = data[place + 1]; /* the mask bit makes it larger than any length code */
    place += 2;
    if (length == TWO_BYTES) {
        if (size - place < 2)
            return 0;
        length = big16(data + place);
        place += 2;
    } else if (length == EIGHT_BYTES) {
        if (size - place < 8)
            return 0;
        length = (uint64_t)big32(data + place) << 32 | big32(data + place + 4);
        place += 8;
    } else if (length & MASKED) {
        return 0;
    }
    if (length > (uint64_t)largest || (int64_t)length > size - place)
        return 0;
    *begin = place;
    *end = place + (int64_t)length;
    return 1;
}

/* Follow the complete steady frames of a stream from `start` on.
 *
 * Writes where they end, the number of messages and their bytes, and the number of heartbeats,
 * which are too short to hold a packet count.
 */
PUBLIC void walk(const uint8_t *data, int64_t start, int64_t size, int64_t largest,
                 int64_t *result)
{
    int64_t begin, end, messages = 0, bytes = 0, heartbeats = 0;
    for (; read_head(data, start, size, largest, &begin, &end); start = end) {
        const int is_message = end - begin >= PREFIX;
        messages += is_message;
        heartbeats += !is_message;
        bytes += is_message ? end - begin : 0;
    }
    result[0] = start;
    result[1] = messages;
    result[2] = bytes;
    result[3] = heartbeats;
}

/* Messages → packets ---------------------------------------------------------------------------*/

enum { UNKNOWN_LENGTH = 255, AHEAD = 16 };

/* Why `split` returned. */
enum { SPLIT_ALL, SPLIT_MALFORMED, SPLIT_FULL, SPLIT_NO_BYTES };

/* The state of `split`: the item, the bounds of the message in it, and the packets found so far. */
struct cursor {
    int64_t item, place, end, packets;
};

/* Find the packets of one message. Returns their number, -1 if malformed, -2 if out of room. */
static int64_t split_message(const uint8_t *place, const uint8_t *end,
                             const uint8_t *code_of_length, int64_t room, const uint8_t **packets,
                             uint8_t *codes)
{
    int64_t found = 0;
    int left = big16(place);
    for (place += PREFIX; left && end - place >= PREFIX; left--) {
        const unsigned length = big16(place);
        const uint8_t code = code_of_length[length];
        if (code == UNKNOWN_LENGTH || end - place - PREFIX < (ptrdiff_t)length)
            break;
        if (found == room)
            return -2;
        __builtin_prefetch(place + AHEAD * (PREFIX + length)); /* most are of one length */
        packets[found] = place + PREFIX;
        codes[found++] = code;
        place += PREFIX + length;
    }
    return left || place != end ? -1 : found;
}

/* Find the packets of a list of `bytes`, from a cursor on.
 *
 * An item is a message or, if its stop in `bounds` is not -1, a slice of a stream of steady
 * frames. Writes the address and the layout code of each packet, and adds to the item's count.
 * Returns the reason for stopping; the cursor is then at the message concerned, none of whose
 * packets is written (for an item that is not `bytes`, an exception is set).
 */
PUBLIC int64_t split(void *items, int64_t count, const int64_t *bounds,
                     const uint8_t *code_of_length, int64_t room, const uint8_t **packets,
                     uint8_t *codes, int64_t *counts, struct cursor *cursor)
{
    for (; cursor->item < count; cursor->item++, cursor->place = -1) {
        const int64_t item = cursor->item;
        const int is_stream = bounds && bounds[2 * item + 1] >= 0;
        const uint8_t *data;
        ptrdiff_t size;
        if (python.bytes_of(python.list_item(items, (ptrdiff_t)item), &data, &size))
            return SPLIT_NO_BYTES;
        int64_t stop = size, begin = 0;
        if (is_stream && bounds[2 * item + 1] < stop)
            stop = bounds[2 * item + 1];
        if (cursor->place < 0)
            cursor->place = is_stream ? bounds[2 * item] : 0;
        for (; cursor->place < stop; cursor->place = cursor->end) {
            begin = 0;
            cursor->end = stop;
            if (is_stream && !read_head(data, cursor->place, stop, stop, &begin, &cursor->end))
                break;
            if (cursor->end - begin < PREFIX)
                continue; /* a heartbeat */
            const int64_t before = cursor->packets;
            const int64_t found =
                split_message(data + begin, data + cursor->end, code_of_length, room - before,
                              packets + before, codes + before);
            if (found == -2)
                return SPLIT_FULL;
            if (found == -1) {
                cursor->place = begin;
                return SPLIT_MALFORMED;
            }
            cursor->packets += found;
            counts[item] += found;
        }
    }
    return SPLIT_ALL;
}

/* Keep the packets of some instruments, in their order.
 *
 * `slots` is the instrument of each packet, `is_wanted` says which instruments are kept, and
 * `counts` is the number of packets of each item, which is updated. Returns how many packets are
 * left.
 */
PUBLIC int64_t pick(const uint8_t **packets, uint8_t *codes, int64_t *counts, int64_t items,
                    const int32_t *slots, const uint8_t *is_wanted)
{
    int64_t kept = 0, packet = 0;
    for (int64_t item = 0; item < items; item++) {
        const int64_t before = kept, end = packet + counts[item];
        for (; packet < end; packet++) {
            packets[kept] = packets[packet];
            codes[kept] = codes[packet];
            kept += is_wanted[slots[packet]];
        }
        counts[item] = kept - before;
    }
    return kept;
}

/* Packets → columns ----------------------------------------------------------------------------*/

enum { BLOCK = 64, MAX_LAYOUTS = 8, MAX_FIELDS = 64, LEVELS = 5, SEGMENT_BYTE = 3, LINE = 64, WORD = 4 };

/* What a field becomes, in the order of wire/decode.py. */
enum kind { INTEGER, SHORT, TIME, PRICE };

/* A field of a packet: one number, or LEVELS numbers with a stride in bytes. */
struct field {
    int32_t kind, offset, stride, column;
};

/* A segment of the market. */
struct segment {
    double divisor, inverse;
    uint32_t bias; /* 2^31 if prices are signed, else 0: one subtraction then serves both */
    uint32_t is_known;
};

/* Packets of one layout and their rows: few enough to stay in the first-level cache. */
struct block {
    int64_t size, rows[BLOCK];
    const uint8_t *packets[BLOCK];
    double divisors[BLOCK], inverses[BLOCK];
    uint32_t biases[BLOCK];
};

/* How packets are stored: the best way of this processor, or a lesser one in tests. */
enum way { DIVIDE, MULTIPLY, VECTORS, WIDE, WAYS };

#if defined(__x86_64__)
#define MULTIPLIES __attribute__((target("fma")))
#elif defined(__aarch64__)
#define MULTIPLIES
#endif

#if defined(__x86_64__)

#include <cpuid.h>

/* Which register states the system saves when it switches tasks. */
static uint64_t saved_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Queried here because not every compiler's runtime can: Zig's has no processor features.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID and XGETBV.
 */
static int64_t best_way(void)
{
    enum { FMA = 1u << 12, OSXSAVE = 1u << 27, AVX2 = 1u << 5, AVX512_VBMI = 1u << 1 };
    const unsigned avx512 = 1u << 16 | 1u << 30 | 1u << 31; /* F, BW, VL */
    const uint64_t ymm = 0x06, zmm = 0xE6;
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & OSXSAVE) || !(ecx & FMA) ||
        (saved_states() & ymm) != ymm)
        return DIVIDE;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & AVX2))
        return MULTIPLY;
    if ((ebx & avx512) == avx512 && (ecx & AVX512_VBMI) && (saved_states() & zmm) == zmm)
        return WIDE;
    return VECTORS;
}

#elif defined(__aarch64__)

static int64_t best_way(void)
{
    return VECTORS;
}

#else

static int64_t best_way(void)
{
    return DIVIDE;
}

#endif

static int64_t way = DIVIDE;

typedef double division(double number, double divisor, double inverse);

static inline double divide(double number, double divisor, double inverse)
{
    (void)inverse;
    return number / divisor;
}

/* A correctly rounded quotient: an estimate, corrected by its remainder (Markstein 1990). Where a
 * processor multiplies and adds in one rounding, it takes less than half the time.
 */
#ifdef MULTIPLIES
MULTIPLIES static inline double multiply(double number, double divisor, double inverse)
{
    const double estimate = number * inverse;
    return __builtin_fma(__builtin_fma(-estimate, divisor, number), inverse, estimate);
}
#else
#define MULTIPLIES
#define multiply divide
#endif

static inline double number(const uint8_t *bytes, uint32_t bias)
{
    return (double)((int64_t)(big32(bytes) ^ bias) - bias);
}

#define STORE(TYPE, LEVELS, VALUE)                                                                 \
    for (int64_t i = 0; i < size; i++) {                                                           \
        const uint8_t *bytes = block->packets[i] + offset;                                         \
        TYPE *cell = (TYPE *)column + (is_run ? row + i : block->rows[i]) * (LEVELS);              \
        for (int level = 0; level < (LEVELS); level++, bytes += stride)                            \
            cell[level] = (VALUE);                                                                 \
    }                                                                                              \
    break;

#define STORE_KIND(LEVELS)                                                                         \
    switch (field->kind) {                                                                         \
    case INTEGER:                                                                                  \
        STORE(uint32_t, LEVELS, big32(bytes))                                                      \
    case SHORT:                                                                                    \
        STORE(uint16_t, LEVELS, big16(bytes))                                                      \
    case TIME:                                                                                     \
        STORE(int64_t, LEVELS, (int64_t)big32(bytes) * 1000000)                                    \
    case PRICE:                                                                                    \
        STORE(double, LEVELS,                                                                      \
              quotient(number(bytes, block->biases[i]), block->divisors[i], block->inverses[i]))   \
    }

/* Store one field of a block, number by number. The conversion is a compile-time constant, so that
 * each one is compiled to its own loop.
 */
static inline __attribute__((always_inline)) void store(const struct field *field,
                                                        const struct block *block, void *column,
                                                        const int is_run, division *quotient)
{
    const int64_t size = block->size, offset = field->offset, stride = field->stride;
    const int64_t row = block->rows[0];
    if (stride)
        STORE_KIND(LEVELS)
    else
        STORE_KIND(1)
}

typedef void storing(const struct field *, const struct block *, void *);

static void scattered(const struct field *field, const struct block *block, void *column)
{
    store(field, block, column, 0, divide);
}

static void run(const struct field *field, const struct block *block, void *column)
{
    store(field, block, column, 1, divide);
}

MULTIPLIES static void scattered_multiplied(const struct field *field, const struct block *block,
                                            void *column)
{
    store(field, block, column, 0, multiply);
}

MULTIPLIES static void run_multiplied(const struct field *field, const struct block *block,
                                      void *column)
{
    store(field, block, column, 1, multiply);
}

static storing *const ONE_BY_ONE[2][2] = {{scattered, scattered_multiplied}, {run, run_multiplied}};

#include "vectors.h"
#if defined(__x86_64__)
#include "wide.h"
#endif

typedef uint64_t storing_many(const struct block *, const struct field *, const struct field *,
                              void *const *, int is_run);

/* The vectorised stores of each way: return the set of stored fields as bits. */
static storing_many *const MANY_AT_A_TIME[WAYS] = {
#ifdef FOURFOLD
    [VECTORS] = store_fourfold,
#endif
#if defined(__x86_64__)
    [WIDE] = store_wide,
#endif
};

/* Choose the best way that the processor supports, at most `limit`. Returns it. */
PUBLIC int64_t use_way(int64_t limit)
{
    const int64_t best = best_way();
    way = best < limit ? best : limit;
    if (way > MULTIPLY && !MANY_AT_A_TIME[way])
        way = MULTIPLY; /* old compilers lack vector types */
    return way;
}

static void store_block(struct block *block, const struct field *first, const struct field *last,
                        void *const *columns)
{
    const int64_t size = block->size;
    if (!size)
        return;
    const int is_run = block->rows[size - 1] - block->rows[0] == size - 1;
    uint64_t stored = 0;
    if (MANY_AT_A_TIME[way])
        stored = MANY_AT_A_TIME[way](block, first, last, columns, is_run);
    for (const struct field *field = first; field < last; field++)
        if (columns[field->column] && !(stored >> (field - first) & 1))
            ONE_BY_ONE[is_run][way != DIVIDE](field, block, columns[field->column]);
    block->size = 0;
}

/* Write packets into columns from a row on.
 *
 * The fields of layout n are those from starts[n] to before starts[n + 1]; a column without an
 * address is left out. Marks the segment codes that are not known; returns whether there are any.
 */
PUBLIC int64_t decode(const uint8_t *const *packets, const uint8_t *codes, int64_t count,
                      int64_t row, const struct field *fields, const int32_t *starts,
                      int64_t layouts, const struct segment *segments, void *const *columns,
                      uint8_t *unknown)
{
    struct block blocks[MAX_LAYOUTS];
    int64_t any = 0;
    for (int64_t code = 0; code < layouts; code++)
        blocks[code].size = 0;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t code = codes[i], *packet = packets[i];
        const struct segment *segment = &segments[packet[SEGMENT_BYTE]];
        struct block *block = &blocks[code];
        const int64_t place = block->size++;
        __builtin_prefetch(packet + LINE); /* reading the segment loads the first cache line */
        __builtin_prefetch(packet + 2 * LINE);
        block->packets[place] = packet;
        block->rows[place] = row + i;
        block->divisors[place] = segment->divisor;
        block->inverses[place] = segment->inverse;
        block->biases[place] = segment->bias;
        if (!segment->is_known)
            any = unknown[packet[SEGMENT_BYTE]] = 1;
        if (block->size == BLOCK)
            store_block(block, fields + starts[code], fields + starts[code + 1], columns);
    }
    for (int64_t code = 0; code < layouts; code++)
        store_block(&blocks[code], fields + starts[code], fields + starts[code + 1], columns);
    return any;
}

/* Reads → when and where from ------------------------------------------------------------------*/

/* A read of a socket: the number of its messages. */
struct read {
    int64_t time, connection, messages;
};

/* Write the time and the connection of the read of each packet from `start` to `stop`, exclusive.
 *
 * `counts` is the number of packets of each message.
 */
static void stamp(const struct read *reads, int64_t count, const int64_t *counts, int64_t start,
                  int64_t stop, int64_t *times, uint8_t *connections)
{
    int64_t packet = 0;
    for (const struct read *read = reads; read < reads + count && packet < stop; read++) {
        int64_t end = packet;
        for (int64_t i = 0; i < read->messages; i++)
            end += *counts++;
        const int64_t from = packet > start ? packet : start, to = end < stop ? end : stop;
        const int64_t time = read->time;
        const uint8_t connection = (uint8_t)read->connection;
        for (int64_t i = from; i < to; i++) {
            times[i - start] = time;
            connections[i - start] = connection;
        }
        packet = end;
    }
}

/* Count impossible times: those before `earliest` or more than `ahead` after the arrival of their
 * row; with `clear`, set them to 0, which means absent. Rows whose layout lacks the field are
 * skipped. Writes the first such row.
 */
PUBLIC int64_t check_times(const uint8_t *codes, const uint8_t *has_time, int64_t rows,
                           const int64_t *read_at, int64_t earliest, int64_t ahead, int64_t clear,
                           int64_t *times, int64_t *first)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t time = times[i];
        if (!time || (time >= earliest && time <= read_at[i] + ahead) || !has_time[codes[i]])
            continue;
        if (!wrong++)
            *first = i;
        if (clear)
            times[i] = 0;
    }
    return wrong;
}

/* Rows → modes and bitmaps ---------------------------------------------------------------------*/

/* Set bits of a zeroed bitmap, least significant bit first. Returns true: every bit is one. */
static int fill(uint8_t *bitmap, int64_t start, int64_t stop)
{
    for (; start < stop && start % 8; start++)
        bitmap[start / 8] |= (uint8_t)(1 << start % 8);
    const int64_t bytes = (stop - start) / 8;
    memset(bitmap + start / 8, 0xFF, (size_t)bytes);
    for (start += 8 * bytes; start < stop; start++)
        bitmap[start / 8] |= (uint8_t)(1 << start % 8);
    return 1;
}

/* Set a row's bit if its time is not 0. Returns the bit, repeated eight times. */
static unsigned write_time(uint8_t *bitmap, int64_t row, const int64_t *times)
{
    const unsigned bit = times[row] != 0;
    bitmap[row / 8] |= (uint8_t)(bit << row % 8);
    return bit * 0xFF;
}

/* Write the bits of rows that all have a time, eight at a time. Returns whether all are ones. */
static int write_times(uint8_t *bitmap, int64_t row, int64_t stop, const int64_t *times)
{
    unsigned all = 0xFF;
    for (; row < stop && row % 8; row++)
        all &= write_time(bitmap, row, times);
    for (; row + 8 <= stop; row += 8) {
        unsigned bits = 0;
        for (int place = 0; place < 8; place++)
            bits |= (unsigned)(times[row + place] != 0) << place;
        bitmap[row / 8] = (uint8_t)bits;
        all &= bits;
    }
    for (; row < stop; row++)
        all &= write_time(bitmap, row, times);
    return all == 0xFF;
}

/* Write one bit per row to zeroed memory: whether its layout fills the column and its time, if
 * any, is not 0.
 *
 * Returns whether every bit is one.
 */
static int write_bits(uint8_t *bitmap, int64_t row, const uint8_t *codes, int64_t rows,
                      const uint8_t *is_filled, const int64_t *times)
{
    unsigned all = 1;
    for (int64_t i = 0; i < rows;) {
        uint8_t *byte = &bitmap[(row + i) / 8];
        unsigned bits = 0;
        for (int64_t place = (row + i) % 8; place < 8 && i < rows; place++, i++) {
            const unsigned bit = is_filled[codes[i]] & (!times || times[row + i] != 0);
            bits |= bit << place;
            all &= bit;
        }
        *byte |= (uint8_t)bits;
    }
    return (int)all;
}

/* Write the mode and the validity bits of new rows.
 *
 * Columns that are always null together share a bitmap and form a group. `filled` says, group by
 * group, whether each layout fills it; a group of a time also has the address of its column. Sets
 * `has_null` of the groups with a null, and returns the set of modes as bits.
 */
PUBLIC int64_t mark(const uint8_t *codes, int64_t rows, int64_t row, const uint8_t *mode_of,
                    uint8_t *modes, int64_t layouts, int64_t groups, const uint8_t *filled,
                    const int64_t *const *times, uint8_t *const *bitmaps, uint8_t *has_null)
{
    if (!rows)
        return 0;
    const int alike = !memcmp(codes, codes + 1, (size_t)(rows - 1));
    unsigned seen = 0;
    if (alike) {
        memset(modes + row, mode_of[codes[0]], (size_t)rows);
        seen = 1u << mode_of[codes[0]];
    }
    for (int64_t i = 0; i < rows && !alike; i++)
        seen |= 1u << (modes[row + i] = mode_of[codes[i]]);
    for (int64_t group = 0; group < groups; group++) {
        const uint8_t *is_filled = filled + group * layouts;
        int all;
        if (!alike)
            all = write_bits(bitmaps[group], row, codes, rows, is_filled, times[group]);
        else if (!is_filled[codes[0]])
            all = 0;
        else if (times[group])
            all = write_times(bitmaps[group], row, row + rows, times[group]);
        else
            all = fill(bitmaps[group], row, row + rows);
        has_null[group] = !all;
    }
    return seen;
}

/* Packets → what others get of them -------------------------------------------------------------*/

/* Keep each packet as the last one of its slot, `stride` bytes apart, and its layout's code. */
PUBLIC void keep_last(const uint8_t *const *packets, const uint8_t *codes, const int32_t *slots,
                      int64_t count, const uint16_t *lengths, int64_t stride, uint8_t *kept,
                      uint8_t *kept_codes)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(kept + slots[i] * stride, packets[i], lengths[codes[i]]);
        kept_codes[slots[i]] = codes[i];
    }
}

/* Write the wanted packets with their length prefixes, each truncated to the wanted part.
 *
 * `wanted` is the level of each slot; `lengths` is the number of bytes to send for each layout and
 * level, 0 for none. Writes the number of packets. Returns the bytes written, at most PREFIX and a
 * packet's length for each packet.
 */
PUBLIC int64_t select_packets(const uint8_t *const *packets, const uint8_t *codes,
                              const int32_t *slots, int64_t count, const uint8_t *wanted,
                              const uint16_t *lengths, int64_t levels, uint8_t *out,
                              int64_t *found)
{
    uint8_t *place = out;
    *found = 0;
    for (int64_t i = 0; i < count; i++) {
        const uint16_t length = lengths[codes[i] * levels + wanted[slots[i]]];
        if (!length)
            continue;
        place[0] = (uint8_t)(length >> 8);
        place[1] = (uint8_t)length;
        memcpy(place + PREFIX, packets[i], length);
        place += PREFIX + length;
        ++*found;
    }
    return place - out;
}

/* Rows → the last row of each slot -------------------------------------------------------------*/

/* Write the last row of each slot that occurs. Other slots keep their values. */
PUBLIC void last_rows(const uint32_t *slots, int64_t rows, int64_t *last)
{
    for (int64_t row = 0; row < rows; row++)
        last[slots[row]] = row;
}

#define GATHER(BYTES)                                                                              \
    for (int64_t i = 0; i < count; i++)                                                            \
        memcpy(target + i * (BYTES), sources[origins[i] * columns] + rows[i] * (BYTES),            \
               (size_t)(BYTES));                                                                   \
    break;

static void gather_values(const uint8_t *const *sources, int64_t columns, const int32_t *origins,
                          const int64_t *rows, int64_t count, int64_t width, uint8_t *target)
{
    switch (width) { /* the sizes that occur: a copy of constant size is one or two instructions */
    case 1:
        GATHER(1)
    case 4:
        GATHER(4)
    case 8:
        GATHER(8)
    case 10:
        GATHER(10)
    case 20:
        GATHER(20)
    case 40:
        GATHER(40)
    default:
        GATHER(width)
    }
}

static int gather_bits(const uint8_t *const *sources, int64_t columns, const int32_t *origins,
                       const int64_t *rows, int64_t count, uint8_t *target)
{
    unsigned all = 1;
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = rows[i];
        const unsigned bit = sources[origins[i] * columns][row / 8] >> row % 8 & 1;
        target[i / 8] |= (uint8_t)(bit << i % 8);
        all &= bit;
    }
    return (int)all;
}

/* Copy rows of several sets of columns to one.
 *
 * `sources` is the columns of the first set, then those of the second, and so on; `origins` and
 * `rows` say which row of which set. A width is in bytes, or 0 for bits, whose destination must be zeroed; sets `has_zero` of the bit
 * columns that have a zero.
 */
PUBLIC void gather(int64_t columns, const int64_t *widths, const uint8_t *const *sources,
                   const int32_t *origins, const int64_t *rows, int64_t count,
                   uint8_t *const *targets, uint8_t *has_zero)
{
    for (int64_t i = 0; i < columns; i++)
        if (widths[i])
            gather_values(sources + i, columns, origins, rows, count, widths[i], targets[i]);
        else
            has_zero[i] = !gather_bits(sources + i, columns, origins, rows, count, targets[i]);
}

/* Make the pages of consecutive areas present, row by row: all areas from their beginnings to their
 * ends at the same pace. Their content stays, also what another thread writes meanwhile.
 */
PUBLIC void populate(uint8_t *memory, const int64_t *starts, int64_t areas, int64_t page)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < areas; i++)
        if (starts[i + 1] - starts[i] > largest)
            largest = starts[i + 1] - starts[i];
    const int64_t steps = largest / page + 1;
    for (int64_t step = 0; step < steps; step++)
        for (int64_t i = 0; i < areas; i++) {
            const int64_t offset = (starts[i + 1] - starts[i]) * step / steps;
            __atomic_fetch_or(memory + starts[i] + offset, 0, __ATOMIC_RELAXED);
        }
}

/* Instrument tokens → slots --------------------------------------------------------------------*/

static const uint64_t EMPTY = UINT64_MAX; /* read as a slot: -1 */

static uint64_t place_of(uint32_t token, uint32_t shift)
{
    return (uint32_t)(token * 2654435769u) >> shift; /* 2^32 divided by the golden ratio */
}

/* Look up tokens in an open-addressing table of 2^(32 - shift) entries, token << 32 | slot, which
 * is never full. Writes the slots, -1 for unknown tokens; returns the number of unknown ones.
 */
PUBLIC int64_t find(const uint32_t *tokens, int64_t count, const uint64_t *entries, int64_t shift,
                    int32_t *slots)
{
    const uint64_t mask = UINT32_MAX >> shift;
    int64_t missing = 0;
    for (int64_t i = 0; i < count; i++) {
        uint64_t place = place_of(tokens[i], (uint32_t)shift), entry = entries[place];
        while (entry != EMPTY && entry >> 32 != tokens[i])
            entry = entries[place = (place + 1) & mask];
        slots[i] = (int32_t)(uint32_t)entry;
        missing += entry == EMPTY;
    }
    return missing;
}

/* Insert new tokens, with the slots from `first` on. */
PUBLIC void enter(const uint32_t *tokens, int64_t count, int64_t first, uint64_t *entries,
                  int64_t shift)
{
    const uint64_t mask = UINT32_MAX >> shift;
    for (int64_t i = 0; i < count; i++) {
        uint64_t place = place_of(tokens[i], (uint32_t)shift);
        while (entries[place] != EMPTY)
            place = (place + 1) & mask;
        entries[place] = (uint64_t)tokens[i] << 32 | (uint64_t)(first + i);
    }
}

/* Packets → rows -------------------------------------------------------------------------------*/

enum { TIMES = 2 };

/* What is written of new rows, and the tables for that. The columns of `decode` include all but the
 * slots, times of arrival and connections.
 */
struct sheet {
    const struct field *fields;
    const int32_t *starts;
    int64_t layouts;
    const struct segment *segments;
    void *const *columns;
    const uint32_t *tokens;
    int32_t *slots;
    int64_t *read_at;
    uint8_t *connections;
    int64_t *times[TIMES];
    const uint8_t *has_time[TIMES];
};

/* What `write_rows` found, as bits. */
enum { NEW_SEGMENT = 1, NEW_TOKEN = 2, WRONG_TIME = 4 };

/* Write packets into the rows from `row` on: their columns, arrival and slots. Returns what the
 * caller has to look at: segment codes that are not known, marked in `unknown`; tokens without a
 * slot; times before `earliest`, or more than `ahead` after their arrival.
 *
 * One call instead of five, because there are often few packets and calls then take longer than
 * loops. `counts` is the number of packets of each message, of which `first` come before these.
 */
PUBLIC int64_t write_rows(const struct sheet *sheet, int64_t row, const uint8_t *const *packets,
                          const uint8_t *codes, int64_t count, const struct read *reads,
                          int64_t read_count, const int64_t *counts, int64_t first,
                          const uint64_t *entries, int64_t shift, int64_t earliest, int64_t ahead,
                          uint8_t *unknown)
{
    int64_t found = 0, place;
    if (decode(packets, codes, count, row, sheet->fields, sheet->starts, sheet->layouts,
               sheet->segments, sheet->columns, unknown))
        found |= NEW_SEGMENT;
    stamp(reads, read_count, counts, first, first + count, sheet->read_at + row,
          sheet->connections + row);
    if (find(sheet->tokens + row, count, entries, shift, sheet->slots + row))
        found |= NEW_TOKEN;
    for (int i = 0; i < TIMES; i++)
        if (check_times(codes, sheet->has_time[i], count, sheet->read_at + row, earliest, ahead, 0,
                        sheet->times[i] + row, &place))
            found |= WRONG_TIME;
    return found;
}

/* Polars → memory: the release callbacks of the Arrow C data interface -------------------------*/

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

PUBLIC void release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL; /* its memory belongs to the batch, which outlives the import */
}

/* Release the Python object in `private_data` that owns the arrays. Any thread.
 *
 * No Python code runs here: a KeyboardInterrupt raised in a callback would be lost.
 */
PUBLIC void release_array(struct ArrowArray *array)
{
    void *owner = array->private_data;
    array->release = NULL;
    if (owner && python.is_initialized()) {
        const int state = python.take_lock();
        python.let_go(owner);
        python.give_lock(state);
    }
}

/* Columns of a record batch. `stride` is the bytes of eight rows of values; `size` is the number of
 * items in a row of a nested column, 0 for a flat one.
 */
struct BatchColumn {
    const uint8_t *bitmap, *values;
    int64_t stride, size;
};

/* Describe a range of rows as a struct array; `start` must be a multiple of 8.
 *
 * `out` has room for the arrays (the batch, its columns, the items of nested columns), then the
 * pointers to children, then two pointers to buffers for each array. The pointers advance instead
 * of the offset, because the offset of a nested array does not apply to its items. Columns marked
 * in `without_nulls` have a null count of 0; for the others it is -1, unknown.
 */
PUBLIC void export_batch(const struct BatchColumn *columns, int64_t count, int64_t nested,
                         int64_t start, int64_t length, const uint8_t *without_nulls, void *owner,
                         struct ArrowArray *out)
{
    const int64_t arrays = 1 + count + nested;
    struct ArrowArray **children = (struct ArrowArray **)(out + arrays);
    const void **buffers = (const void **)(children + count + nested);
    struct ArrowArray *items = out + 1 + count;
    for (int64_t i = 0; i < count + nested; i++)
        children[i] = out + 1 + i;
    out[0] = (struct ArrowArray){.length = length,
                                 .n_buffers = 1,
                                 .n_children = count,
                                 .buffers = buffers,
                                 .children = children,
                                 .release = release_array,
                                 .private_data = owner};
    buffers[0] = NULL;
    for (int64_t i = 0; i < count; i++) {
        const struct BatchColumn *column = &columns[i];
        const void **own = buffers + 2 * (1 + i);
        own[0] = column->bitmap ? column->bitmap + start / 8 : NULL;
        own[1] = column->values + start / 8 * column->stride;
        out[1 + i] = (struct ArrowArray){.length = length,
                                         .null_count = own[0] && !without_nulls[i] ? -1 : 0,
                                         .n_buffers = 2,
                                         .buffers = own,
                                         .release = release_array};
        if (column->size) {
            const void **inner = buffers + 2 * (items - out);
            inner[0] = NULL;
            inner[1] = own[1];
            *items = (struct ArrowArray){.length = length * column->size,
                                         .n_buffers = 2,
                                         .buffers = inner,
                                         .release = release_array};
            out[1 + i].n_buffers = out[1 + i].n_children = 1;
            out[1 + i].children = children + (items - out) - 1;
            items++;
        }
    }
}
