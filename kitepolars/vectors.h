/* Packets → columns with registers of 16 and 32 bytes: AVX2 and NEON. Included by native.c.
 *
 * Single numbers are transposed in tiles of four packets by four words, and so are four levels of
 * one side of a book; the fifth level is stored separately. Shuffles are compiler builtins, so
 * both processor families share this source; only the arithmetic on doubles differs.
 */

#if defined(__clang__) || __GNUC__ >= 12
#if defined(__x86_64__)
#include <immintrin.h>
#define FOURFOLD __attribute__((target("avx2,fma")))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FOURFOLD
#endif
#endif

#ifdef FOURFOLD

#define shuffle __builtin_shufflevector
#define FOURFOLD_INLINE FOURFOLD static inline __attribute__((always_inline))

enum { FOUR = 4, CHUNK = 16, CHUNKS = 4, ENTRY = 12, SIGN = 31, NUMBERS = 3 };

typedef uint8_t octets __attribute__((vector_size(CHUNK)));
typedef uint32_t words __attribute__((vector_size(CHUNK)));

#if defined(__x86_64__)

typedef __m256d doubles;

FOURFOLD_INLINE doubles load_doubles(const double *numbers)
{
    return _mm256_loadu_pd(numbers);
}

FOURFOLD_INLINE doubles all_alike(double number)
{
    return _mm256_set1_pd(number);
}

/* Store raw / divisor. A raw number is signed if its bias is 2^31 and unsigned if it is 0; it is
 * converted as signed in both cases, and the double is then corrected exactly.
 */
FOURFOLD_INLINE void store_prices(words raw, words bias, doubles divisor, doubles inverse,
                                  double *cells)
{
    const words is_unsigned = ~bias >> SIGN;
    const doubles shift = _mm256_mul_pd(_mm256_cvtepi32_pd((__m128i)is_unsigned),
                                        _mm256_set1_pd(2147483648.0));
    const doubles number = _mm256_add_pd(
        _mm256_cvtepi32_pd((__m128i)(raw ^ is_unsigned << SIGN)), shift);
    const doubles estimate = _mm256_mul_pd(number, inverse);
    _mm256_storeu_pd(cells, _mm256_fmadd_pd(_mm256_fnmadd_pd(estimate, divisor, number), inverse,
                                            estimate));
}

FOURFOLD_INLINE void store_times(words seconds, int64_t *cells)
{
    _mm256_storeu_si256((void *)cells, _mm256_mul_epu32(_mm256_cvtepu32_epi64((__m128i)seconds),
                                                        _mm256_set1_epi64x(1000000)));
}

#else

typedef float64x2x2_t doubles;

FOURFOLD_INLINE doubles load_doubles(const double *numbers)
{
    return (doubles){{vld1q_f64(numbers), vld1q_f64(numbers + 2)}};
}

FOURFOLD_INLINE doubles all_alike(double number)
{
    return (doubles){{vdupq_n_f64(number), vdupq_n_f64(number)}};
}

/* As above; a 64-bit integer holds both signed and unsigned numbers. */
FOURFOLD_INLINE void store_prices(words raw, words bias, doubles divisor, doubles inverse,
                                  double *cells)
{
    const uint32x4_t flipped = (uint32x4_t)(raw ^ bias), biases = (uint32x4_t)bias;
    const int64x2_t whole[2] = {
        vreinterpretq_s64_u64(vsubl_u32(vget_low_u32(flipped), vget_low_u32(biases))),
        vreinterpretq_s64_u64(vsubl_u32(vget_high_u32(flipped), vget_high_u32(biases)))};
    for (int half = 0; half < 2; half++) {
        const float64x2_t number = vcvtq_f64_s64(whole[half]);
        const float64x2_t estimate = vmulq_f64(number, inverse.val[half]);
        const float64x2_t rest = vfmsq_f64(number, estimate, divisor.val[half]);
        vst1q_f64(cells + 2 * half, vfmaq_f64(estimate, rest, inverse.val[half]));
    }
}

FOURFOLD_INLINE void store_times(words seconds, int64_t *cells)
{
    for (int i = 0; i < FOUR; i++)
        cells[i] = (int64_t)seconds[i] * 1000000;
}

#endif

/* Load four big-endian words. */
FOURFOLD_INLINE words load_swapped(const uint8_t *bytes)
{
    octets loaded;
    memcpy(&loaded, bytes, sizeof loaded);
    return (words)shuffle(loaded, loaded, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

/* Transpose four rows of words. */
FOURFOLD_INLINE void turn(words rows[FOUR])
{
    const words low = shuffle(rows[0], rows[1], 0, 4, 1, 5);
    const words high = shuffle(rows[0], rows[1], 2, 6, 3, 7);
    const words low_below = shuffle(rows[2], rows[3], 0, 4, 1, 5);
    const words high_below = shuffle(rows[2], rows[3], 2, 6, 3, 7);
    rows[0] = shuffle(low, low_below, 0, 1, 4, 5);
    rows[1] = shuffle(low, low_below, 2, 3, 6, 7);
    rows[2] = shuffle(high, high_below, 0, 1, 4, 5);
    rows[3] = shuffle(high, high_below, 2, 3, 6, 7);
}

FOURFOLD_INLINE void store_integers(words numbers, uint32_t *cells)
{
    memcpy(cells, &numbers, sizeof numbers);
}

/* Store the upper halves of four words. */
FOURFOLD_INLINE void store_shorts(words numbers, uint16_t *cells)
{
    const octets bytes = (octets)(numbers >> 16);
    const octets packed = shuffle(bytes, bytes, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13);
    memcpy(cells, &packed, FOUR * sizeof *cells);
}

/* Store one side of the book: quantities, prices and numbers of orders. */
FOURFOLD static void store_side(const struct block *block, const struct field *side,
                                void *const *columns)
{
    uint32_t *quantities = columns[side[0].column];
    double *prices = columns[side[1].column];
    uint16_t *orders = columns[side[2].column];
    for (int64_t i = 0; i < block->size; i++) {
        const uint8_t *entries = block->packets[i] + side->offset, *fifth = entries + FOUR * ENTRY;
        const int64_t cell = LEVELS * block->rows[i];
        const double divisor = block->divisors[i], inverse = block->inverses[i];
        const uint32_t bias = block->biases[i];
        words rows[FOUR];
        for (int level = 0; level < FOUR; level++)
            rows[level] = load_swapped(entries + level * ENTRY);
        turn(rows);
        store_integers(rows[0], quantities + cell);
        store_prices(rows[1], (words){bias, bias, bias, bias}, all_alike(divisor),
                     all_alike(inverse), prices + cell);
        store_shorts(rows[2], orders + cell);
        quantities[cell + FOUR] = big32(fifth);
        prices[cell + FOUR] = multiply(number(fifth + WORD, bias), divisor, inverse);
        orders[cell + FOUR] = big16(fifth + 2 * WORD);
    }
}

/* Store four numbers of a field. */
FOURFOLD_INLINE void store_four(const struct field *field, words numbers,
                                const struct block *block, int64_t from, void *column)
{
    const int64_t row = block->rows[0] + from;
    words bias;
    switch (field->kind) {
    case INTEGER:
        store_integers(numbers, (uint32_t *)column + row);
        break;
    case TIME:
        store_times(numbers, (int64_t *)column + row);
        break;
    case PRICE:
        memcpy(&bias, &block->biases[from], sizeof bias);
        store_prices(numbers, bias, load_doubles(&block->divisors[from]),
                     load_doubles(&block->inverses[from]), (double *)column + row);
        break;
    }
}

/* Store the single numbers of a block whose packets go to consecutive rows, in tiles of four
 * packets by sixteen bytes. The last tile in each direction overlaps the previous one, so that
 * nothing beyond a packet is read.
 */
FOURFOLD static void store_heads(const struct block *block, int64_t extent,
                                 const struct field *const fields[], int64_t count,
                                 void *const *columns)
{
    for (int64_t next = 0; next < block->size; next += FOUR) {
        const int64_t from = next + FOUR <= block->size ? next : block->size - FOUR;
        for (int64_t f = 0; f < count;) {
            const int64_t chunk = fields[f]->offset / CHUNK * CHUNK;
            const int64_t place = chunk + CHUNK <= extent ? chunk : extent - CHUNK;
            words rows[FOUR];
            for (int i = 0; i < FOUR; i++)
                rows[i] = load_swapped(block->packets[from + i] + place);
            turn(rows);
            for (; f < count && fields[f]->offset < place + CHUNK; f++)
                store_four(fields[f], rows[(fields[f]->offset - place) / WORD], block, from,
                           columns[fields[f]->column]);
        }
    }
}

/* Whether three fields are one side of the book, interleaved by level. */
static int is_side(const struct field *side)
{
    static const int32_t kinds[NUMBERS] = {INTEGER, PRICE, SHORT};
    for (int i = 0; i < NUMBERS; i++)
        if (side[i].kind != kinds[i] || side[i].stride != ENTRY ||
            side[i].offset != side->offset + i * WORD)
            return 0;
    return 1;
}

/* Store the fields that are handled here; returns their set as bits.
 *
 * Fields are in the order of their offsets, single numbers before the book. Blocks whose packets
 * do not go to consecutive rows are not handled.
 */
static uint64_t store_fourfold(const struct block *block, const struct field *first,
                               const struct field *last, void *const *columns, int is_run)
{
    const struct field *fields[MAX_FIELDS] = {0}, *field = first;
    uint64_t stored = 0;
    int64_t count = 0, extent = 0;
    for (; field < last && !field->stride; field++) {
        extent = field->offset + WORD;
        if (!columns[field->column] || field->kind == SHORT || field->offset % WORD ||
            count == MAX_FIELDS)
            continue;
        fields[count++] = field;
        stored |= UINT64_C(1) << (field - first);
    }
    if (is_run && block->size >= FOUR && extent >= CHUNK)
        store_heads(block, extent, fields, count, columns);
    else
        stored = 0;
    for (; field + NUMBERS <= last; field += NUMBERS)
        if (is_side(field) && columns[field[0].column] && columns[field[1].column] &&
            columns[field[2].column]) {
            store_side(block, field, columns);
            stored |= UINT64_C(7) << (field - first);
        }
    return stored;
}

#endif
