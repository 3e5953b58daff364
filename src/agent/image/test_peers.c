/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static void parse(const char *text, struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof(*address));
    address->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    g_assert_cmpint(inet_pton(address->ss_family, text,
                              strchr(text, ':') ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
                    ==, 1);
}

/* One connection: our end and the client's. */
struct caller {
    struct vr_guest *guest;
    int ours, theirs;
};

static bool call(struct vr_peers *peers, const char *text, struct caller *caller)
{
    struct sockaddr_storage address;
    int ends[2];
    parse(text, &address);
    *caller = (struct caller){ 0 };
    if (!vr_peers_admit(peers, (struct sockaddr *)&address))
        return false;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    caller->ours = ends[0];
    caller->theirs = ends[1];
    caller->guest = vr_peers_enter(peers, (struct sockaddr *)&address, ends[0]);
    return true;
}

static bool sent_away(const struct caller *caller)
{
    struct pollfd p = { caller->theirs, POLLIN, 0 };
    char byte;
    return poll(&p, 1, 0) == 1 && read(caller->theirs, &byte, 1) == 0;
}

static void hang_up(struct vr_peers *peers, struct caller *caller)
{
    if (!caller->guest)
        return;
    vr_peers_leave(peers, caller->guest);
    close(caller->ours);
    close(caller->theirs);
    caller->guest = NULL;
}

/* Which addresses share the room of one; of two. */
static void test_what_a_peer_is(void)
{
    static const struct {
        const char *first, *second;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },
        { "2001:db8::1", "2001:db8::ffff:1", true },
        { "2001:db8::1", "2001:db8:0:1::1", false },
        { "fe80::1", "fe80::2", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vr_peers *peers = vr_peers_new(&(struct vr_peers_limits){ 10, 2 });
        struct caller callers[3];
        g_test_message("%s %s", rows[i].first, rows[i].second);
        g_assert_true(call(peers, rows[i].first, &callers[0]));
        g_assert_true(call(peers, rows[i].first, &callers[1]));
        g_assert_cmpint(call(peers, rows[i].second, &callers[2]), ==, !rows[i].same);
        hang_up(peers, &callers[1]);
        hang_up(peers, &callers[2]);
        g_assert_true(call(peers, rows[i].second, &callers[2])); /* there is room again */
        hang_up(peers, &callers[0]);
        hang_up(peers, &callers[2]);
        vr_peers_free(peers);
    }
}

/* In a full house the oldest stranger goes; who showed a ticket stays, and then nobody comes in. */
static void test_a_full_house(void)
{
    struct vr_peers *peers = vr_peers_new(&(struct vr_peers_limits){ 3, 2 });
    struct caller known, old, young, next, last, none;
    g_assert_true(call(peers, "192.0.2.1", &known));
    g_assert_true(call(peers, "192.0.2.1", &old));
    g_assert_true(call(peers, "192.0.2.2", &young));
    vr_peers_know(peers, known.guest);
    vr_peers_know(peers, known.guest);
    g_assert_true(call(peers, "192.0.2.3", &next));
    g_assert_true(sent_away(&old));
    g_assert_false(sent_away(&known) || sent_away(&young) || sent_away(&next));
    hang_up(peers, &old);
    g_assert_true(call(peers, "192.0.2.3", &last));
    g_assert_true(sent_away(&young));
    vr_peers_know(peers, next.guest);
    vr_peers_know(peers, last.guest);
    hang_up(peers, &young);
    g_assert_false(call(peers, "192.0.2.4", &none));
    hang_up(peers, &known);
    g_assert_true(call(peers, "192.0.2.4", &none));
    hang_up(peers, &none);
    hang_up(peers, &next);
    hang_up(peers, &last);
    vr_peers_free(peers);
}

/* Those who were sent away and do not go are no room without bounds. */
static void test_guests_that_do_not_go(void)
{
    struct vr_peers *peers = vr_peers_new(&(struct vr_peers_limits){ 1, 1 });
    struct caller callers[100];
    unsigned in = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(callers); i++) {
        g_autofree char *address = g_strdup_printf("198.51.100.%u", i);
        in += call(peers, address, &callers[i]);
    }
    g_assert_cmpuint(in, ==, 65); /* the one, and 64 that were sent away */
    for (unsigned i = 0; i < G_N_ELEMENTS(callers); i++)
        hang_up(peers, &callers[i]);
    g_assert_true(call(peers, "192.0.2.1", &callers[0]));
    hang_up(peers, &callers[0]);
    vr_peers_free(peers);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peers/what_a_peer_is", test_what_a_peer_is);
    g_test_add_func("/peers/a_full_house", test_a_full_house);
    g_test_add_func("/peers/guests_that_do_not_go", test_guests_that_do_not_go);
    return g_test_run();
}
