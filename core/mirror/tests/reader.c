/* A reader of the mirror written from docs/mirror-format.md alone: `reader <folder> get <key>...` prints each value or "(absent)",
 * `reader <folder> list` prints all keys and values in order. Little-endian machines only, as the format's loads are written plainly. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct header {
    char magic[8];
    uint32_t format_version, header_size, flags, entry_count, live_count, slot_count;
    uint64_t mirror_id, source_id, generation, base_generation;
    int64_t revision;
    uint64_t published_unix_ms, index_offset, records_offset, values_offset, file_size;
    uint32_t base_check, tables_crc, zero, header_crc;
};
_Static_assert(sizeof(struct header) == 128, "header");

struct record {
    uint64_t value_offset;
    uint32_t value_size, value_crc;
    int64_t create_revision, mod_revision, version;
    uint32_t key_size, number, flags, zero;
    uint8_t key[];
};
_Static_assert(sizeof(struct record) == 56, "record");

struct slot {
    uint32_t tag, position_plus_one;
};

struct file {
    const uint8_t *bytes;
    const struct header *header;
};

static void fail(const char *what) {
    fprintf(stderr, "reader: %s\n", what);
    exit(1);
}

static uint32_t crc32c(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xffffffff;
    while (size-- > 0) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static uint64_t hash(const uint8_t *key, size_t size) {
    const uint64_t m = 0xc6a4a7935bd1e995;
    uint64_t h = size * m, k;
    for (; size >= 8; key += 8, size -= 8) {
        memcpy(&k, key, 8);
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    if (size > 0) {
        k = 0;
        memcpy(&k, key, size);
        h = (h ^ k) * m;
    }
    h ^= h >> 47;
    h *= m;
    return h ^ h >> 47;
}

static const uint8_t *map(const char *path, size_t *size) {
    struct stat stat;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size < 128) fail(path);
    *size = (size_t)stat.st_size;
    void *at = mmap(NULL, *size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) fail(path);
    close(fd);
    return at;
}

static struct file map_generation(const char *folder, uint64_t generation, uint64_t mirror_id) {
    char path[4096];
    size_t size;
    snprintf(path, sizeof path, "%s/%llu.snap", folder, (unsigned long long)generation);
    const uint8_t *bytes = map(path, &size);
    const struct header *h = (const struct header *)bytes;
    if (memcmp(h->magic, "CFGSNAP", 8) != 0 || h->format_version != 1 || h->header_size != 128) fail("magic or version");
    if (crc32c(bytes, 124) != h->header_crc || h->file_size != size || h->values_offset > size) fail("header");
    if (crc32c(bytes + 128, h->values_offset - 128) != h->tables_crc) fail("tables");
    if (h->mirror_id != mirror_id || h->generation != generation) fail("another mirror or generation");
    return (struct file){bytes, h};
}

static const struct record *record_at(struct file file, uint32_t position) {
    return (const struct record *)(file.bytes + file.header->records_offset + (uint64_t)position * 8);
}

static const struct record *find(struct file file, const char *key) {
    size_t size = strlen(key);
    uint64_t h = hash((const uint8_t *)key, size);
    const struct slot *slots = (const struct slot *)(file.bytes + file.header->index_offset);
    for (uint32_t i = (uint32_t)h & (file.header->slot_count - 1); slots[i].position_plus_one != 0;
         i = (i + 1) & (file.header->slot_count - 1)) {
        if (slots[i].tag != (uint32_t)(h >> 32)) continue;
        const struct record *record = record_at(file, slots[i].position_plus_one - 1);
        if (record->key_size == size && memcmp(record->key, key, size) == 0) return record;
    }
    return NULL;
}

static void print(struct file file, const struct record *record) {
    const uint8_t *value = file.bytes + record->value_offset;
    if (crc32c(value, record->value_size) != record->value_crc) fail("value");
    printf("%.*s = %.*s @%lld\n", (int)record->key_size, (const char *)record->key, (int)record->value_size,
           (const char *)value, (long long)record->mod_revision);
}

static const struct record *nth(struct file file, uint32_t n) {
    if (file.bytes == NULL || n >= file.header->entry_count) return NULL;
    return record_at(file, ((const uint32_t *)(file.bytes + 128))[n]);
}

static int compare(const struct record *a, const struct record *b) {
    uint32_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = memcmp(a->key, b->key, size);
    return order != 0 ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

int main(int argc, char **argv) {
    char path[4096];
    size_t size;
    if (argc < 3) fail("usage: reader <folder> get <key>... | list");
    snprintf(path, sizeof path, "%s/control", argv[1]);
    const uint8_t *control = map(path, &size);
    if (size != 4096 || memcmp(control, "CFGCTRL", 8) != 0 || *(const uint32_t *)(control + 8) != 2) fail("control page");
    uint64_t mirror_id = *(const uint64_t *)(control + 16);
    uint64_t word = __atomic_load_n((const uint64_t *)(control + 64), __ATOMIC_ACQUIRE);
    struct file base = map_generation(argv[1], word / 2, mirror_id), delta = {NULL, NULL};
    if (base.header->flags & 1) {
        delta = base;
        base = map_generation(argv[1], delta.header->base_generation, mirror_id);
        if (base.header->header_crc != delta.header->base_check) fail("another base");
    }
    struct file newest = delta.bytes ? delta : base;
    printf("generation %llu on %llu, revision %lld, %u keys\n", (unsigned long long)newest.header->generation,
           (unsigned long long)base.header->generation, (long long)newest.header->revision, newest.header->live_count);
    for (int i = 3; i < argc; i++) {
        const struct record *record = delta.bytes ? find(delta, argv[i]) : NULL;
        struct file file = record ? delta : base;
        if (record == NULL) record = find(base, argv[i]);
        if (record == NULL || record->flags & 1) printf("(absent)\n");
        else print(file, record);
    }
    if (strcmp(argv[2], "list") != 0) return 0;
    for (uint32_t b = 0, d = 0;;) {
        const struct record *below = nth(base, b), *above = nth(delta, d);
        if (below == NULL && above == NULL) return 0;
        int order = below == NULL ? 1 : above == NULL ? -1 : compare(below, above);
        b += order <= 0;
        d += order >= 0;
        if (order < 0) print(base, below);
        else if (!(above->flags & 1)) print(delta, above);
    }
}
