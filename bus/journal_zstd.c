/*
 * A compressed segment read at any place: zstd frames and, at the end, the seek table of the seekable
 * format (facebook/zstd, contrib/seekable_format) in a skippable frame:
 *
 *   0x184D2A5E, u32 bytes | per frame: u32 compressed, u32 plain [, u32 checksum] |
 *   u32 frames, u8 descriptor (bit 7: with checksums), u32 0x8F92EAB1
 *
 * The last frame that was read stays, because pages are mostly read one after the other.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "journal_source.h"

#define SKIPPABLE_MAGIC UINT32_C(0x184D2A5E)
#define SEEKABLE_MAGIC UINT32_C(0x8F92EAB1)
#define FOOTER_BYTES 9
#define FRAME_MAX (UINT32_C(16) << 20) /* ours have 256 KiB */
#define FRAMES_MAX (UINT32_C(1) << 24)

struct tb_journal_zstd {
    int fd; /* the caller's */
    ZSTD_DCtx *context;
    uint32_t frames;
    uint64_t *packed_at; /* frames + 1 places */
    uint64_t *plain_at;
    char *packed, *plain;
    uint32_t held; /* frame that is in `plain`; `frames`: none */
};

static int read_whole(int fd, void *out_bytes, size_t count, uint64_t offset)
{
    for (size_t done = 0; done < count;) {
        long n = tb_journal_pread(fd, (char *)out_bytes + done, count - done, offset + done);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EBADMSG;
        done += (size_t)n;
    }
    return 0;
}

static uint32_t u32_at(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static int take_table(struct tb_journal_zstd *z, const unsigned char *entry, size_t entry_bytes,
                      uint64_t table_at)
{
    uint64_t packed = 0, plain = 0;
    uint32_t packed_max = 1, plain_max = 1;
    z->packed_at = calloc((size_t)z->frames + 1, sizeof(*z->packed_at));
    z->plain_at = calloc((size_t)z->frames + 1, sizeof(*z->plain_at));
    if (z->packed_at == NULL || z->plain_at == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < z->frames; i++, entry += entry_bytes) {
        uint32_t packed_bytes = u32_at(entry), plain_bytes = u32_at(entry + 4);
        if (packed_bytes > FRAME_MAX || plain_bytes > FRAME_MAX)
            return -EBADMSG;
        packed_max = packed_bytes > packed_max ? packed_bytes : packed_max;
        plain_max = plain_bytes > plain_max ? plain_bytes : plain_max;
        z->packed_at[i + 1] = packed += packed_bytes;
        z->plain_at[i + 1] = plain += plain_bytes;
    }
    if (packed > table_at)
        return -EBADMSG;
    z->packed = malloc(packed_max);
    z->plain = malloc(plain_max);
    z->context = ZSTD_createDCtx();
    return z->packed != NULL && z->plain != NULL && z->context != NULL ? 0 : -ENOMEM;
}

static int read_table(struct tb_journal_zstd *z)
{
    struct stat st;
    unsigned char footer[FOOTER_BYTES];
    if (fstat(z->fd, &st) != 0)
        return -errno;
    uint64_t size = (uint64_t)st.st_size;
    if (size < FOOTER_BYTES + 8)
        return -EBADMSG;
    int rc = read_whole(z->fd, footer, sizeof(footer), size - sizeof(footer));
    if (rc != 0)
        return rc;
    z->frames = z->held = u32_at(footer);
    size_t entry_bytes = (footer[4] & 0x80) != 0 ? 12 : 8;
    if (u32_at(footer + 5) != SEEKABLE_MAGIC || z->frames > FRAMES_MAX)
        return -EBADMSG;
    size_t bytes = 8 + z->frames * entry_bytes; /* with the skippable frame's own header */
    if (size < bytes + FOOTER_BYTES)
        return -EBADMSG;
    unsigned char *table = malloc(bytes);
    if (table == NULL)
        return -ENOMEM;
    uint64_t table_at = size - FOOTER_BYTES - bytes;
    rc = read_whole(z->fd, table, bytes, table_at);
    if (rc == 0 &&
        (u32_at(table) != SKIPPABLE_MAGIC || u32_at(table + 4) != bytes - 8 + FOOTER_BYTES))
        rc = -EBADMSG;
    if (rc == 0)
        rc = take_table(z, table + 8, entry_bytes, table_at);
    free(table);
    return rc;
}

int tb_journal_zstd_open(int fd, struct tb_journal_zstd **out_zstd)
{
    struct tb_journal_zstd *z = calloc(1, sizeof(*z));
    if (z == NULL)
        return -ENOMEM;
    z->fd = fd;
    int rc = read_table(z);
    if (rc != 0) {
        tb_journal_zstd_close(z);
        return rc;
    }
    *out_zstd = z;
    return 0;
}

void tb_journal_zstd_close(struct tb_journal_zstd *z)
{
    if (z == NULL)
        return;
    (void)ZSTD_freeDCtx(z->context);
    free(z->packed_at);
    free(z->plain_at);
    free(z->packed);
    free(z->plain);
    free(z);
}

uint64_t tb_journal_zstd_bytes(const struct tb_journal_zstd *z)
{
    return z->plain_at[z->frames];
}

/* A frame that can not be read is as many bytes 0xff, which are no page: damage, told as such. */
static int hold(struct tb_journal_zstd *z, uint32_t frame)
{
    size_t packed = (size_t)(z->packed_at[frame + 1] - z->packed_at[frame]);
    size_t plain = (size_t)(z->plain_at[frame + 1] - z->plain_at[frame]);
    z->held = z->frames;
    int rc = read_whole(z->fd, z->packed, packed, z->packed_at[frame]);
    if (rc != 0 && rc != -EBADMSG)
        return rc;
    if (rc != 0 || ZSTD_decompressDCtx(z->context, z->plain, plain, z->packed, packed) != plain)
        memset(z->plain, 0xff, plain);
    z->held = frame;
    return 0;
}

static uint32_t frame_of(const struct tb_journal_zstd *z, uint64_t offset)
{
    uint32_t low = 0, high = z->frames;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (z->plain_at[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

long tb_journal_zstd_read(struct tb_journal_zstd *z, void *out_bytes, size_t count, uint64_t offset)
{
    size_t done = 0;
    while (done < count && offset + done < z->plain_at[z->frames]) {
        uint32_t frame = frame_of(z, offset + done);
        int rc = frame == z->held ? 0 : hold(z, frame);
        if (rc != 0)
            return rc;
        uint64_t in_frame = offset + done - z->plain_at[frame];
        uint64_t left = z->plain_at[frame + 1] - z->plain_at[frame] - in_frame;
        size_t n = left < count - done ? (size_t)left : count - done;
        memcpy((char *)out_bytes + done, z->plain + in_frame, n);
        done += n;
    }
    return (long)done;
}
