/* The loop over a journal's records, and their checksum. Called by native.py for journal/format.py,
 * which describes the format and handles everything that is damaged. The interpreter's lock is not
 * held here, so one thread can check records while another one decodes.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

static uint32_t little32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint64_t little64(const uint8_t *bytes)
{
    return little32(bytes) | (uint64_t)little32(bytes + 4) << 32;
}

/* CRC-32 ---------------------------------------------------------------------------------------*/

static const uint32_t POLYNOMIAL = 0xEDB88320; /* reflected */

enum { SLICES = 8, LANE = 16, LANES = 4 };

/* crc_of[n][b]: the checksum's register after byte b and n zeros. */
static uint32_t crc_of[SLICES][256];

/* Update the register by bytes, eight at a time (Kounavis and Berry 2005, "slicing by 8"). */
static uint32_t slice(uint32_t crc, const uint8_t *data, int64_t size)
{
    for (; size >= SLICES; size -= SLICES, data += SLICES) {
        const uint32_t low = crc ^ little32(data), high = little32(data + 4);
        crc = crc_of[7][low & 255] ^ crc_of[6][low >> 8 & 255] ^ crc_of[5][low >> 16 & 255] ^
              crc_of[4][low >> 24] ^ crc_of[3][high & 255] ^ crc_of[2][high >> 8 & 255] ^
              crc_of[1][high >> 16 & 255] ^ crc_of[0][high >> 24];
    }
    for (; size; size--)
        crc = crc >> 8 ^ crc_of[0][(crc ^ *data++) & 255];
    return crc;
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <wmmintrin.h>

static int multiplies; /* whether the processor has carry-less multiplication */

static void detect(void)
{
    unsigned eax, ebx, ecx, edx;
    multiplies = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & 1u << 1;
}

__attribute__((target("pclmul"))) static inline __m128i fold(__m128i sum, __m128i by, __m128i next)
{
    const __m128i low = _mm_clmulepi64_si128(sum, by, 0x00);
    const __m128i high = _mm_clmulepi64_si128(sum, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* Update the register by at least 64 bytes: fold them into 16 that have the same remainder.
 *
 * The factors are x^(distance + 32) and x^(distance - 32) modulo the polynomial, reflected, for
 * distances of 512 and 128 bits (Gopal et al. 2009, "Fast CRC Computation for Generic Polynomials
 * Using PCLMULQDQ Instruction").
 */
__attribute__((target("pclmul"))) static uint32_t multiply(uint32_t crc, const uint8_t *data,
                                                           int64_t size)
{
    const __m128i by_lanes = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);
    const __m128i by_lane = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    __m128i sums[LANES];
    for (int lane = 0; lane < LANES; lane++, data += LANE)
        sums[lane] = _mm_loadu_si128((const __m128i *)data);
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128((int)crc));
    for (size -= LANES * LANE; size >= LANES * LANE; size -= LANES * LANE)
        for (int lane = 0; lane < LANES; lane++, data += LANE)
            sums[lane] = fold(sums[lane], by_lanes, _mm_loadu_si128((const __m128i *)data));
    for (int lane = 1; lane < LANES; lane++)
        sums[0] = fold(sums[0], by_lane, sums[lane]);
    for (; size >= LANE; size -= LANE, data += LANE)
        sums[0] = fold(sums[0], by_lane, _mm_loadu_si128((const __m128i *)data));
    uint8_t rest[LANE];
    _mm_storeu_si128((__m128i *)rest, sums[0]);
    return slice(slice(0, rest, LANE), data, size);
}

#else

enum { multiplies = 0 };

static void detect(void)
{
}

static uint32_t multiply(uint32_t crc, const uint8_t *data, int64_t size)
{
    return slice(crc, data, size);
}

#endif

/* Fill the tables; once, before anything else here is called. */
PUBLIC void prepare_checksum(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        crc_of[0][byte] = crc;
    }
    for (int n = 1; n < SLICES; n++)
        for (int byte = 0; byte < 256; byte++)
            crc_of[n][byte] = crc_of[n - 1][byte] >> 8 ^ crc_of[0][crc_of[n - 1][byte] & 255];
    detect();
}

/* Return the CRC-32 of zlib, gzip and PNG. */
PUBLIC int64_t checksum(const uint8_t *data, int64_t size)
{
    const int is_long = multiplies && size >= LANES * LANE;
    return (is_long ? multiply : slice)(UINT32_MAX, data, size) ^ UINT32_MAX;
}

/* Records --------------------------------------------------------------------------------------*/

/* A record's header, from its first byte on; its checksum covers what follows the checksum. */
enum {
    CHECKSUM = 4,
    SEQUENCE = 8,
    TIME = 16,
    LENGTH = 24,
    PAYLOAD_CHECKSUM = 28,
    KIND = 32,
    CONNECTION = 33,
    HEADER = 36,
};

enum { MESSAGES = 1 };

/* Why `find_records` returned. */
enum { RECORDS_INCOMPLETE, RECORDS_FULL, RECORDS_BAD_HEADER, RECORDS_BAD_PAYLOAD };

/* A record: its header's fields, where its payload is, and, of messages, how many they are, their
 * bytes without the frames' heads, and where the complete frames end.
 */
struct record {
    int64_t sequence, time, kind, connection, begin, end, messages, bytes, whole;
};

void walk(const uint8_t *, int64_t, int64_t, int64_t, int64_t *); /* in native.c */

/* Find the intact records of a block from `place` on, which stand one after the other.
 *
 * Writes them, and to `result` where the search ended and how many were found.
 */
PUBLIC int64_t find_records(const uint8_t *data, int64_t size, int64_t place, const uint8_t *marker,
                            int64_t largest, int64_t room, struct record *records, int64_t *result)
{
    int64_t found = 0, why = RECORDS_INCOMPLETE;
    while (size - place >= HEADER) {
        const uint8_t *header = data + place;
        const int64_t length = little32(header + LENGTH), begin = place + HEADER;
        if (found == room) {
            why = RECORDS_FULL;
            break;
        }
        if (memcmp(header, marker, CHECKSUM) || length > largest ||
            checksum(header + SEQUENCE, HEADER - SEQUENCE) != little32(header + CHECKSUM)) {
            why = RECORDS_BAD_HEADER;
            break;
        }
        if (length > size - begin)
            break;
        if (checksum(data + begin, length) != little32(header + PAYLOAD_CHECKSUM)) {
            why = RECORDS_BAD_PAYLOAD;
            break;
        }
        struct record *record = &records[found++];
        *record = (struct record){
            .sequence = (int64_t)little64(header + SEQUENCE),
            .time = (int64_t)little64(header + TIME),
            .kind = header[KIND],
            .connection = header[CONNECTION],
            .begin = begin,
            .end = begin + length,
        };
        if (record->kind == MESSAGES) {
            int64_t walked[4];
            walk(data, begin, begin + length, length, walked);
            record->whole = walked[0];
            record->messages = walked[1];
            record->bytes = walked[2];
        }
        place = begin + length;
    }
    result[0] = place;
    result[1] = found;
    return why;
}
