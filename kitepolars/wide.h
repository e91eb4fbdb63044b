/* Packets → columns with registers of 64 bytes (AVX-512 with VBMI). Included by native.c.
 *
 * One side of a packet's book fits a register; one permutation extracts the levels of a field.
 * Single numbers are transposed, sixteen packets at a time. Masks keep loads and stores within
 * packets and rows.
 */

#include <immintrin.h>

#define WIDELY static __attribute__((target("avx512bw,avx512vl,avx512vbmi,fma")))

enum { REGISTER = 64, LANES = 16, HALF = 8, ALL_LEVELS = (1 << LEVELS) - 1 };

/* Size of a number in a packet. */
static int64_t word_bytes(const struct field *field)
{
    return field->kind == SHORT ? 2 : WORD;
}

/* Size of a number in a column. */
static int64_t cell_bytes(const struct field *field)
{
    return field->kind == PRICE || field->kind == TIME ? 8 : word_bytes(field);
}

/* Prefetch the cache lines that the next block will write. */
static void prefetch_next(const void *column, int64_t row, int64_t rows, int64_t width)
{
    const char *next = (const char *)column + (row + BLOCK) * width;
    for (int64_t byte = 0; byte < rows * width; byte += LINE)
        __builtin_prefetch(next + byte, 1);
}

/* Bytes from the beginning of a field's first level to the end of its last. */
static int64_t span(const struct field *field)
{
    return (LEVELS - 1) * field->stride + word_bytes(field);
}

/* Whether a field is stored here. */
static int is_wide(const struct field *field, int is_run)
{
    if (field->stride)
        return field->kind != TIME && span(field) <= REGISTER;
    return is_run && field->kind != SHORT && field->offset % WORD == 0 && field->offset < REGISTER;
}

WIDELY inline __m512d wide_price(__m256i words, __m256i bias, __m512d divisor, __m512d inverse)
{
    const __m512d number = _mm512_sub_pd(_mm512_cvtepu32_pd(_mm256_xor_si256(words, bias)),
                                         _mm512_cvtepu32_pd(bias));
    const __m512d estimate = _mm512_mul_pd(number, inverse);
    return _mm512_fmadd_pd(_mm512_fnmadd_pd(estimate, divisor, number), inverse, estimate);
}

/* The offsets of the bytes of a field's levels from the field's, least significant byte first. */
WIDELY __m512i level_bytes(const struct field *field)
{
    const int64_t width = word_bytes(field);
    uint8_t places[REGISTER] = {0};
    uint8_t *place = places;
    for (int64_t level = 0; level < LEVELS; level++)
        for (int64_t byte = width - 1; byte >= 0; byte--)
            *place++ = (uint8_t)(level * field->stride + byte);
    return _mm512_loadu_si512(places);
}

#define STORE_LEVELS(TYPE, STORE, VALUE)                                                           \
    for (int64_t i = 0; i < block->size; i++) {                                                    \
        const uint8_t *bytes = block->packets[i] + field->offset;                                  \
        const __m512i levels =                                                                     \
            _mm512_permutexvar_epi8(order, _mm512_maskz_loadu_epi8(taken, bytes));                 \
        STORE((TYPE *)column + LEVELS * block->rows[i], ALL_LEVELS, VALUE);                        \
    }                                                                                              \
    break;

WIDELY void store_levels(const struct field *field, const struct block *block, void *column)
{
    const __mmask64 taken = UINT64_MAX >> (REGISTER - span(field));
    const __m512i order = level_bytes(field);
    prefetch_next(column, block->rows[0], BLOCK, LEVELS * cell_bytes(field));
    switch (field->kind) {
    case INTEGER:
        STORE_LEVELS(uint32_t, _mm256_mask_storeu_epi32, _mm512_castsi512_si256(levels))
    case SHORT:
        STORE_LEVELS(uint16_t, _mm_mask_storeu_epi16, _mm512_castsi512_si128(levels))
    case PRICE:
        STORE_LEVELS(double, _mm512_mask_storeu_pd,
                     wide_price(_mm512_castsi512_si256(levels),
                                _mm256_set1_epi32((int)block->biases[i]),
                                _mm512_set1_pd(block->divisors[i]),
                                _mm512_set1_pd(block->inverses[i])))
    }
}

/* Transpose words in four steps: pairs of words, then of two, four and eight rows. */
WIDELY inline void transpose(__m512i words[LANES])
{
    __m512i turned[LANES];
    for (int i = 0; i < LANES; i += 2) {
        turned[i] = _mm512_unpacklo_epi32(words[i], words[i + 1]);
        turned[i + 1] = _mm512_unpackhi_epi32(words[i], words[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int odd = 0; odd < 2; odd++) {
            words[i + 2 * odd] = _mm512_unpacklo_epi64(turned[i + odd], turned[i + odd + 2]);
            words[i + 2 * odd + 1] = _mm512_unpackhi_epi64(turned[i + odd], turned[i + odd + 2]);
        }
    enum { EVEN = 0x88, ODD = 0xDD }; /* quarters of two registers */
    for (int half = 0; half < LANES; half += HALF)
        for (int i = half; i < half + 4; i++) {
            turned[i] = _mm512_shuffle_i32x4(words[i], words[i + 4], EVEN);
            turned[i + 4] = _mm512_shuffle_i32x4(words[i], words[i + 4], ODD);
        }
    for (int i = 0; i < HALF; i++) {
        words[i] = _mm512_shuffle_i32x4(turned[i], turned[i + HALF], EVEN);
        words[i + HALF] = _mm512_shuffle_i32x4(turned[i], turned[i + HALF], ODD);
    }
}

/* Load and byte-swap words of a block's packets; `taken` selects the words of each packet. */
WIDELY inline void load_words(const struct block *block, int64_t from, int64_t count,
                              __mmask16 taken, __m512i words[LANES])
{
    const __m512i order = _mm512_broadcast_i32x4(
        _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    for (int64_t i = 0; i < LANES; i++) {
        const uint8_t *packet = block->packets[from + (i < count ? i : 0)];
        words[i] = _mm512_shuffle_epi8(_mm512_maskz_loadu_epi32(taken, packet), order);
    }
}

#define STORE_WORDS(TYPE, STORE, VALUE)                                                            \
    prefetch_next(column, row, LANES, sizeof(TYPE));                                               \
    for (int64_t half = 0; half < LANES; half += HALF) {                                           \
        const __m256i eight = half ? _mm512_extracti64x4_epi64(words, 1)                           \
                                   : _mm512_castsi512_si256(words);                                \
        STORE((TYPE *)column + row + half, (__mmask8)(lanes >> half), VALUE);                      \
    }                                                                                              \
    break;

/* Store sixteen numbers, or those selected by `lanes`. */
WIDELY inline void store_words(int32_t kind, __m512i words, const struct block *block,
                               int64_t from, unsigned lanes, void *column)
{
    const int64_t row = block->rows[0] + from;
    switch (kind) {
    case INTEGER:
        STORE_WORDS(uint32_t, _mm256_mask_storeu_epi32, eight)
    case TIME:
        STORE_WORDS(int64_t, _mm512_mask_storeu_epi64,
                    _mm512_mul_epu32(_mm512_cvtepu32_epi64(eight), _mm512_set1_epi64(1000000)))
    case PRICE:
        STORE_WORDS(double, _mm512_mask_storeu_pd,
                    wide_price(eight, _mm256_loadu_si256((void *)&block->biases[from + half]),
                               _mm512_loadu_pd(&block->divisors[from + half]),
                               _mm512_loadu_pd(&block->inverses[from + half])))
    }
}

/* Store the single numbers of a block whose packets go to consecutive rows. */
WIDELY void store_run(const struct block *block, const struct field *first,
                      const struct field *last, void *const *columns)
{
    const struct field *fields[LANES];
    int64_t used = 0;
    unsigned taken = 0;
    for (const struct field *field = first; field < last && used < LANES; field++)
        if (!field->stride && columns[field->column] && is_wide(field, 1)) {
            fields[used++] = field;
            taken |= 1u << field->offset / WORD;
        }
    for (int64_t from = 0; from < block->size; from += LANES) {
        const int64_t count = block->size - from < LANES ? block->size - from : LANES;
        __m512i words[LANES];
        load_words(block, from, count, (__mmask16)taken, words);
        transpose(words);
        for (int64_t i = 0; i < used; i++)
            store_words(fields[i]->kind, words[fields[i]->offset / WORD], block, from,
                        (1u << count) - 1, columns[fields[i]->column]);
    }
}

/* Store the fields that are handled here; returns their set as bits. */
static uint64_t store_wide(const struct block *block, const struct field *first,
                           const struct field *last, void *const *columns, int is_run)
{
    uint64_t stored = 0;
    for (const struct field *field = first; field < last; field++) {
        if (!columns[field->column] || !is_wide(field, is_run))
            continue;
        stored |= UINT64_C(1) << (field - first);
        if (field->stride)
            store_levels(field, block, columns[field->column]);
    }
    if (is_run)
        store_run(block, first, last, columns);
    return stored;
}
