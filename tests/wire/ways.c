/* Compares the ways of storing packets on any processor: compiled and run by test_ways.py.
 *
 * Prints each way that the processor has and whether its columns equal, to the last bit, those of
 * the first, which divides number by number.
 */

#include "../../kitepolars/native.c"

#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 997, LENGTHS = 5, COLUMNS = 24, CELLS = ROWS * LEVELS };

static uint32_t random_word(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

/* The fields of a layout: single numbers, prices every other one; and a book, if it has one. */
static int add_fields(struct field *fields, int used, int single, int has_book)
{
    static const int32_t kinds[] = {INTEGER, PRICE, TIME, PRICE};
    for (int i = 0; i < single; i++)
        fields[used++] = (struct field){i ? kinds[i % 4] : INTEGER, WORD * i, 0, i};
    for (int side = 0; has_book && side < 2; side++)
        for (int i = 0; i < 3; i++)
            fields[used++] = (struct field){i == 0 ? INTEGER : i == 1 ? PRICE : SHORT,
                                            WORD * single + 60 * side + WORD * i, 12,
                                            16 + 3 * side + i};
    return used;
}

/* Print "way 1 same". */
static void report(int64_t way, int is_same)
{
    char line[] = "way 0 other\n";
    line[4] = (char)('0' + way);
    if (is_same)
        memcpy(line + 6, "same\n", sizeof "same\n");
    (void)!write(STDOUT_FILENO, line, strlen(line));
}

int main(void)
{
    static const int singles[LENGTHS] = {2, 11, 16, 7, 8}, has_book[LENGTHS] = {0, 0, 1, 0, 0};
    static const double divisors[] = {100, 10000, 10000000};
    static uint8_t bytes[ROWS][184], unknown[256];
    static struct segment segments[256];
    static double first[COLUMNS][CELLS], columns[COLUMNS][CELLS];
    struct field fields[64];
    int32_t starts[LENGTHS + 1] = {0};
    void *addresses[COLUMNS];
    const uint8_t *packets[ROWS];
    uint8_t codes[ROWS];
    for (int code = 0; code < LENGTHS; code++)
        starts[code + 1] = add_fields(fields, starts[code], singles[code], has_book[code]);
    for (int code = 0; code < 256; code++) {
        const double divisor = divisors[code % 3];
        segments[code] = (struct segment){divisor, 1 / divisor, code % 2 ? 0x80000000u : 0, 1};
    }
    for (int row = 0; row < ROWS; row++) {
        for (int place = 0; place < 184; place++)
            bytes[row][place] = (uint8_t)random_word();
        codes[row] = (uint8_t)(row < 600 ? (uint32_t)row / 120 : random_word() % LENGTHS);
        /* Packets end where their memory does, for a checker of addresses. */
        const int length = WORD * singles[codes[row]] + 120 * has_book[codes[row]];
        uint8_t *packet = malloc((size_t)length);
        memcpy(packet, bytes[row], (size_t)length);
        packets[row] = packet;
    }
    for (int column = 0; column < COLUMNS; column++)
        addresses[column] = columns[column];
    int failed = 0;
    for (int64_t limit = 0; limit < WAYS; limit++) {
        if (use_way(limit) != limit)
            continue;
        memset(columns, 0, sizeof columns);
        decode(packets, codes, ROWS, 0, fields, starts, LENGTHS, segments, addresses, unknown);
        if (!limit)
            memcpy(first, columns, sizeof columns);
        const int is_same = !memcmp(first, columns, sizeof columns);
        report(limit, is_same);
        failed |= !is_same;
    }
    return failed;
}
