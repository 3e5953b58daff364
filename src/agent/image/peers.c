/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "image"
#include "agent/image/peers.h"

#include <netinet/in.h>

/* Guests that were sent away and are not gone yet are room as well, but not for ever. */
#define LEAVING_MAX 64

struct vr_peers {
    struct vr_mutex lock; /* over all that follows; a leaf */
    struct vr_peers_limits limits;
    unsigned guests, leaving; /* @leaving of @guests were sent away */
    GHashTable *counts;       /* a peer's 16 bytes, owned -> how many guests it has */
    GQueue unknown;           /* of struct vr_guest, the oldest first */
    gint64 told;              /* monotonic; when a refusal was last written to the log */
};

static unsigned hash(const void *key)
{
    const uint8_t *bytes = key;
    unsigned value = 5381;
    for (unsigned i = 0; i < 16; i++)
        value = value * 33 + bytes[i];
    return value;
}

static gboolean equal(const void *a, const void *b)
{
    return memcmp(a, b, 16) == 0;
}

static void find_peer(const struct sockaddr *address, uint8_t peer[16])
{
    memset(peer, 0, 16);
    if (address && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        peer[10] = peer[11] = 0xff;
        memcpy(peer + 12, &v4.sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        bool alone = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
        memcpy(peer, &v6.sin6_addr, alone ? 16 : 8);
    }
}

struct vr_peers *vr_peers_new(const struct vr_peers_limits *limits)
{
    struct vr_peers *peers = g_new0(struct vr_peers, 1);
    vr_mutex_init(&peers->lock);
    peers->limits = *limits;
    peers->counts = g_hash_table_new_full(hash, equal, g_free, NULL);
    return peers;
}

void vr_peers_free(struct vr_peers *peers)
{
    if (!peers)
        return;
    g_hash_table_unref(peers->counts);
    vr_mutex_done(&peers->lock);
    g_free(peers);
}

/* Lock held. */
static void forget_unknown(struct vr_peers *peers, struct vr_guest *guest)
{
    if (!guest->link.data)
        return;
    g_queue_unlink(&peers->unknown, &guest->link);
    guest->link.data = NULL;
}

/* Lock held.  The connection's thread sees its end and closes it. */
static bool send_one_away(struct vr_peers *peers)
{
    struct vr_guest *oldest = g_queue_peek_head(&peers->unknown);
    if (!oldest || peers->leaving >= LEAVING_MAX)
        return false;
    forget_unknown(peers, oldest);
    oldest->leaving = true;
    peers->leaving++;
    shutdown(oldest->fd, SHUT_RDWR);
    return true;
}

bool vr_peers_admit(struct vr_peers *peers, const struct sockaddr *address)
{
    uint8_t peer[16];
    find_peer(address, peer);
    vr_mutex_lock(&peers->lock);
    unsigned own = GPOINTER_TO_UINT(g_hash_table_lookup(peers->counts, peer));
    bool welcome = own < peers->limits.peer && (peers->guests - peers->leaving < peers->limits.total ||
                                                send_one_away(peers));
    gint64 now = g_get_monotonic_time();
    unsigned all = peers->guests;
    bool tell = !welcome && (!peers->told || now - peers->told >= 60 * G_USEC_PER_SEC);
    if (tell)
        peers->told = now;
    vr_mutex_unlock(&peers->lock);
    if (tell)
        vr_log_warning("A connection was refused: its address has %u of at most %u, all together have "
                       "%u of at most %u.",
                       own, peers->limits.peer, all, peers->limits.total);
    return welcome;
}

struct vr_guest *vr_peers_enter(struct vr_peers *peers, const struct sockaddr *address, int fd)
{
    struct vr_guest *guest = g_new0(struct vr_guest, 1);
    guest->fd = fd;
    guest->link.data = guest;
    find_peer(address, guest->peer);
    vr_mutex_lock(&peers->lock);
    unsigned own = GPOINTER_TO_UINT(g_hash_table_lookup(peers->counts, guest->peer));
    g_hash_table_replace(peers->counts, g_memdup2(guest->peer, 16), GUINT_TO_POINTER(own + 1));
    g_queue_push_tail_link(&peers->unknown, &guest->link);
    peers->guests++;
    vr_mutex_unlock(&peers->lock);
    return guest;
}

void vr_peers_know(struct vr_peers *peers, struct vr_guest *guest)
{
    vr_mutex_lock(&peers->lock);
    forget_unknown(peers, guest);
    vr_mutex_unlock(&peers->lock);
}

void vr_peers_leave(struct vr_peers *peers, struct vr_guest *guest)
{
    vr_mutex_lock(&peers->lock);
    forget_unknown(peers, guest);
    unsigned own = GPOINTER_TO_UINT(g_hash_table_lookup(peers->counts, guest->peer));
    if (own > 1)
        g_hash_table_replace(peers->counts, g_memdup2(guest->peer, 16), GUINT_TO_POINTER(own - 1));
    else
        g_hash_table_remove(peers->counts, guest->peer);
    peers->guests--;
    if (guest->leaving)
        peers->leaving--;
    vr_mutex_unlock(&peers->lock);
    g_free(guest);
}
