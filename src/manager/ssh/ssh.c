/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "ssh"
#include "manager/ssh/ssh.h"

#include <errno.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Most wanted first.  A host has keys of several types and shows one of those that we name. */
#define MAX_ROUNDS 16 /* of questions at the login */
#define ANY_KEY "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
static const char *const key_types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "rsa-sha2-512,rsa-sha2-256" };

struct talk {
    const struct vr_ssh_order *order;
    struct vr_ssh_answer *answer;
    ssh_session session;
    ssh_channel channel;
    int fd;
    int64_t deadline; /* monotonic ms, of what is going on now */
    size_t sent;      /* of the input */
    bool input_done;
    bool more;      /* libssh may have something already: nothing is waited for */
    bool closed;    /* the host has closed the channel, though not all of it is read yet */
    bool signalled; /* the command ended by a signal */
    struct ssh_counter_struct traffic;
    struct ssh_channel_callbacks_struct callbacks;
};

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static bool VR_PRINTF(3, 4)
end_as(struct talk *talk, enum vr_ssh_outcome outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(talk->answer->message);
    talk->answer->message = g_strdup_vprintf(format, args);
    va_end(args);
    talk->answer->outcome = outcome;
    return false;
}

/* What libssh says of the failure, which may quote the host. */
static const char *why(struct talk *talk)
{
    const char *text = ssh_get_error(talk->session);
    return text && *text ? text : "the connection was closed";
}

/* Waits until the socket has something, or until the deadline. */
static bool wait_socket(struct talk *talk, int fd, short events)
{
    struct pollfd fds[] = { { .fd = fd, .events = events },
                            { .fd = talk->order->cancel_fd, .events = POLLIN } };
    int64_t left = talk->deadline - now_ms();
    if (left <= 0)
        return end_as(talk, VR_SSH_TIMED_OUT, "%s did not answer in time.", talk->order->address);
    int ready = poll(fds, talk->order->cancel_fd >= 0 ? 2 : 1, talk->more ? 0 : (int)MIN(left, 60000));
    if (ready < 0 && errno != EINTR)
        return end_as(talk, VR_SSH_LOST, "poll: %s.", g_strerror(errno));
    if (ready > 0 && fds[1].revents && talk->order->cancel_fd >= 0)
        return end_as(talk, VR_SSH_CANCELLED, "The Manager stops.");
    return true;
}

static bool lost(struct talk *talk)
{
    return end_as(talk, VR_SSH_LOST, "The connection to %s broke: %s.", talk->order->address,
                  why(talk));
}

/* Waits until libssh can go on; false as soon as it never will. */
static bool wait_session(struct talk *talk)
{
    /* When it broke, libssh has closed the socket, whose number may be another's by now. */
    if (ssh_get_status(talk->session) & (SSH_CLOSED | SSH_CLOSED_ERROR))
        return lost(talk);
    if (talk->traffic.in_bytes > talk->order->bytes_max)
        return end_as(talk, VR_SSH_LOST, "%s sends more than %zu bytes.", talk->order->address,
                      talk->order->bytes_max);
    bool writes = ssh_get_poll_flags(talk->session) & SSH_WRITE_PENDING;
    return wait_socket(talk, talk->fd, writes ? POLLIN | POLLOUT : POLLIN);
}

/* --- connection --- */

/* A host that lost its power or its cable says no farewell; the kernel finds out. */
static void watch_peer(int fd, unsigned seconds)
{
    const int on = 1, every_s = (int)MAX(seconds / 3, 1);
    const unsigned limit_ms = seconds * 1000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every_s, sizeof(every_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

static int connect_one(struct talk *talk, const struct addrinfo *where)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int failure = 0;
    watch_peer(fd, talk->order->connect_s);
    if (connect(fd, where->ai_addr, where->ai_addrlen) < 0 && errno != EINPROGRESS)
        failure = errno;
    while (!failure) {
        struct pollfd probe = { .fd = fd, .events = POLLOUT };
        if (!wait_socket(talk, fd, POLLOUT)) {
            failure = ETIMEDOUT;
        } else if (poll(&probe, 1, 0) > 0) {
            socklen_t size = sizeof(failure);
            if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && !failure)
                return fd;
        }
    }
    close(fd);
    return -failure;
}

static bool open_socket(struct talk *talk)
{
    const struct vr_ssh_order *order = talk->order;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char port[16];
    g_snprintf(port, sizeof(port), "%u", order->port);
    int result = getaddrinfo(order->address, port, &hints, &found);
    if (result != 0)
        return end_as(talk, VR_SSH_UNREACHABLE, "The name %s has no address: %s.", order->address,
                      gai_strerror(result));
    talk->fd = -EHOSTUNREACH;
    for (const struct addrinfo *at = found; at && talk->fd < 0; at = at->ai_next) {
        talk->deadline = now_ms() + (int64_t)order->connect_s * 1000;
        talk->fd = connect_one(talk, at);
        if (talk->answer->outcome == VR_SSH_CANCELLED)
            break;
    }
    freeaddrinfo(found);
    if (talk->fd < 0 && talk->answer->outcome != VR_SSH_CANCELLED)
        return end_as(talk, VR_SSH_UNREACHABLE, "%s port %u cannot be reached: %s.", order->address,
                      order->port, g_strerror(-talk->fd));
    talk->answer->outcome = talk->fd < 0 ? talk->answer->outcome : VR_SSH_DONE;
    return talk->fd >= 0;
}

static void close_talk(struct talk *talk)
{
    if (talk->channel)
        ssh_channel_free(talk->channel);
    if (talk->session)
        ssh_free(talk->session); /* closes the socket as well */
    else if (talk->fd >= 0)
        close(talk->fd);
    talk->channel = NULL;
    talk->session = NULL;
    talk->fd = -1;
}

/* Nothing of this machine's own SSH configuration applies. */
static void set_options(ssh_session session, const struct talk *talk, const char *types)
{
    const int off = 0, no_log = SSH_LOG_NOLOG;
    const unsigned port = talk->order->port;
    const long seconds = talk->order->connect_s;
    ssh_options_set(session, SSH_OPTIONS_LOG_VERBOSITY, &no_log);
    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &off);
    ssh_options_set(session, SSH_OPTIONS_HOST, talk->order->address);
    ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    ssh_options_set(session, SSH_OPTIONS_USER, talk->order->user);
    ssh_options_set(session, SSH_OPTIONS_SSH_DIR, "/nonexistent");
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, types);
    ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &seconds);
    ssh_options_set(session, SSH_OPTIONS_FD, &talk->fd);
}

/* What a host wants of us (channels, forwarding) is refused at once and kept nowhere. */
static int refuse(ssh_session session, ssh_message message, void *arg)
{
    return 1;
}

static bool read_host_key(struct talk *talk)
{
    struct vr_ssh_answer *answer = talk->answer;
    ssh_key key = NULL;
    unsigned char *hash = NULL;
    size_t length = 0;
    char *base64 = NULL;
    bool known = ssh_get_server_publickey(talk->session, &key) == SSH_OK &&
                 ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == 0 &&
                 ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK;
    if (known) {
        char *print = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
        g_free(answer->fingerprint);
        g_free(answer->public_key);
        answer->fingerprint = g_strdup(print);
        answer->public_key =
            g_strdup_printf("%s %s", ssh_key_type_to_char(ssh_key_type(key)), base64);
        if (ssh_key_type(key) == SSH_KEYTYPE_ECDSA_P256) { /* libssh's name lacks the curve */
            g_free(answer->public_key);
            answer->public_key = g_strdup_printf("ecdsa-sha2-nistp256 %s", base64);
        }
        ssh_string_free_char(print);
    }
    ssh_string_free_char(base64);
    ssh_clean_pubkey_hash(&hash);
    ssh_key_free(key);
    return known || end_as(talk, VR_SSH_UNREACHABLE, "%s has an SSH key of an unknown kind.",
                           talk->order->address);
}

/* A connection with the host's key of one of @types; false with *@ret_other when it has none. */
static bool exchange_keys(struct talk *talk, const char *types, bool *ret_other)
{
    *ret_other = false;
    if (!open_socket(talk))
        return false;
    talk->session = ssh_new();
    if (!talk->session)
        g_error("ssh: out of memory");
    set_options(talk->session, talk, types);
    ssh_set_counters(talk->session, &talk->traffic, NULL);
    ssh_set_message_callback(talk->session, refuse, NULL);
    ssh_set_blocking(talk->session, 0);
    talk->deadline = now_ms() + (int64_t)talk->order->connect_s * 1000;
    int result;
    while ((result = ssh_connect(talk->session)) == SSH_AGAIN)
        if (!wait_session(talk))
            return false;
    if (result != SSH_OK) {
        *ret_other = strstr(why(talk), "no match") != NULL;
        return end_as(talk, VR_SSH_UNREACHABLE, "There is no SSH server to talk to on %s port %u: %s.",
                      talk->order->address, talk->order->port, why(talk));
    }
    return read_host_key(talk);
}

/* Whatever type of key the expected fingerprint is of. */
static bool connect_host(struct talk *talk)
{
    const char *wanted = talk->order->fingerprint;
    bool other = false;
    if (!wanted)
        return exchange_keys(talk, ANY_KEY, &other);
    for (unsigned i = 0; i < G_N_ELEMENTS(key_types); i++) {
        if (exchange_keys(talk, key_types[i], &other)) {
            if (vr_ssh_same_fingerprint(talk->answer->fingerprint, wanted))
                return true;
        } else if (!other) {
            return false;
        }
        close_talk(talk);
    }
    if (!talk->answer->fingerprint)
        return false;
    return end_as(talk, VR_SSH_HOST_KEY,
                  "The SSH key of %s has the fingerprint %s instead of the recorded %s: either the "
                  "machine was set up anew, or another one answers in its place.",
                  talk->order->address, talk->answer->fingerprint, wanted);
}

/* --- login --- */

static bool refused(struct talk *talk)
{
    const struct vr_ssh_order *order = talk->order;
    if (order->password)
        return end_as(talk, VR_SSH_LOGIN_REFUSED,
                      "%s does not let %s in with this password: it is wrong, or the SSH server "
                      "takes no passwords from %s (PermitRootLogin, PasswordAuthentication).",
                      order->address, order->user, order->user);
    return end_as(talk, VR_SSH_LOGIN_REFUSED,
                  "%s does not let %s in with the Manager's SSH key: add that key to the "
                  "authorized_keys of %s, or give the password.",
                  order->address, order->user, order->user);
}

static int answer_question(struct talk *talk)
{
    int questions = ssh_userauth_kbdint_getnprompts(talk->session);
    char echo = 0;
    if (questions > 1 || (questions == 1 && (!ssh_userauth_kbdint_getprompt(talk->session, 0, &echo) ||
                                             echo)))
        return SSH_AUTH_DENIED;
    if (questions == 1)
        ssh_userauth_kbdint_setanswer(talk->session, 0, talk->order->password);
    return SSH_AUTH_INFO;
}

/* Servers that ask through PAM want the password as the answer to a question. */
static int login_by_questions(struct talk *talk)
{
    bool answered = false;
    for (unsigned rounds = 0; rounds < MAX_ROUNDS;) {
        int result = ssh_userauth_kbdint(talk->session, NULL, NULL);
        if (result == SSH_AUTH_INFO) {
            rounds++;
            if (answered && ssh_userauth_kbdint_getnprompts(talk->session) > 0)
                return SSH_AUTH_DENIED;
            answered = answered || ssh_userauth_kbdint_getnprompts(talk->session) > 0;
            if (answer_question(talk) != SSH_AUTH_INFO)
                return SSH_AUTH_DENIED;
        } else if (result != SSH_AUTH_AGAIN) {
            return result;
        } else if (!wait_session(talk)) {
            return SSH_AUTH_ERROR;
        }
    }
    return SSH_AUTH_DENIED;
}

static int login_by_password(struct talk *talk)
{
    int methods = ssh_userauth_list(talk->session, NULL), result = SSH_AUTH_DENIED;
    if (methods & SSH_AUTH_METHOD_PASSWORD)
        while ((result = ssh_userauth_password(talk->session, NULL, talk->order->password)) ==
               SSH_AUTH_AGAIN)
            if (!wait_session(talk))
                return SSH_AUTH_ERROR;
    if (result == SSH_AUTH_DENIED && methods & SSH_AUTH_METHOD_INTERACTIVE)
        result = login_by_questions(talk);
    return result;
}

static int login_by_key(struct talk *talk)
{
    ssh_key key = NULL;
    if (!talk->order->key ||
        ssh_pki_import_privkey_base64(talk->order->key, NULL, NULL, NULL, &key) != SSH_OK) {
        end_as(talk, VR_SSH_LOGIN_REFUSED, "The Manager has no SSH key of its own.");
        return SSH_AUTH_ERROR;
    }
    int result;
    while ((result = ssh_userauth_publickey(talk->session, NULL, key)) == SSH_AUTH_AGAIN)
        if (!wait_session(talk))
            break;
    ssh_key_free(key);
    return result;
}

static bool log_in(struct talk *talk)
{
    int result;
    talk->deadline = now_ms() + (int64_t)talk->order->connect_s * 1000;
    while ((result = ssh_userauth_none(talk->session, NULL)) == SSH_AUTH_AGAIN)
        if (!wait_session(talk))
            return false;
    if (result == SSH_AUTH_DENIED || result == SSH_AUTH_PARTIAL)
        result = talk->order->password ? login_by_password(talk) : login_by_key(talk);
    if (result == SSH_AUTH_SUCCESS)
        return true;
    if (talk->answer->outcome != VR_SSH_DONE)
        return false;
    if (result == SSH_AUTH_DENIED || result == SSH_AUTH_PARTIAL)
        return refused(talk);
    return end_as(talk, VR_SSH_LOST, "The login on %s failed: %s.", talk->order->address, why(talk));
}

/* --- the command --- */

static void on_close(ssh_session session, ssh_channel channel, void *arg)
{
    struct talk *talk = arg;
    talk->closed = true;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *signal, int core,
                      const char *message, const char *language, void *arg)
{
    struct talk *talk = arg;
    talk->signalled = true;
}

static bool start_command(struct talk *talk)
{
    int result;
    talk->channel = ssh_channel_new(talk->session);
    if (!talk->channel)
        return end_as(talk, VR_SSH_LOST, "No channel: %s.", why(talk));
    talk->callbacks = (struct ssh_channel_callbacks_struct){ .userdata = talk,
                                                             .channel_close_function = on_close,
                                                             .channel_exit_signal_function = on_signal };
    ssh_callbacks_init(&talk->callbacks);
    ssh_set_channel_callbacks(talk->channel, &talk->callbacks);
    while ((result = ssh_channel_open_session(talk->channel)) == SSH_AGAIN)
        if (!wait_session(talk))
            return false;
    while (result == SSH_OK && (result = ssh_channel_request_exec(
                                    talk->channel, talk->order->command)) == SSH_AGAIN) {
        if (!wait_session(talk))
            return false;
        result = SSH_OK;
    }
    return result == SSH_OK || end_as(talk, VR_SSH_LOST, "%s runs no command for %s: %s.",
                                      talk->order->address, talk->order->user, why(talk));
}

/* A command may end before it has read all; what it ended with says more than that. */
static bool write_input(struct talk *talk)
{
    const struct vr_ssh_order *order = talk->order;
    while (talk->sent < order->input_size && !talk->closed) {
        size_t left = MIN(order->input_size - talk->sent, KiB(32));
        int written = ssh_channel_write(talk->channel, order->input + talk->sent, (uint32_t)left);
        if (written < 0 && !talk->closed)
            return lost(talk);
        if (written <= 0)
            return true; /* the window is full */
        talk->sent += (size_t)written;
    }
    if (!talk->input_done && !talk->closed) {
        int result = ssh_channel_send_eof(talk->channel);
        if (result == SSH_ERROR)
            return lost(talk);
        talk->input_done = result == SSH_OK;
    }
    return true;
}

/* The last @most bytes stay. */
static void keep_end(GString *text, size_t most)
{
    if (text->len > most)
        g_string_erase(text, 0, (gssize)(text->len - most));
}

/* Takes some of what came, so that deadlines are looked at between; *@ret_any: something did. */
static bool read_output(struct talk *talk, bool *ret_any)
{
    const struct vr_ssh_order *order = talk->order;
    char buffer[16384];
    *ret_any = false;
    for (int is_noise = 0; is_noise <= 1; is_noise++) {
        GString *text = is_noise ? talk->answer->noise : talk->answer->output;
        int got =
            ssh_channel_read_nonblocking(talk->channel, buffer, sizeof(buffer), is_noise);
        if (got == SSH_ERROR && !ssh_channel_is_eof(talk->channel))
            return lost(talk);
        if (got <= 0)
            continue;
        *ret_any = true;
        g_string_append_len(text, buffer, got);
        if (is_noise)
            keep_end(text, order->noise_max);
        else if (text->len > order->output_max)
            return end_as(talk, VR_SSH_LOST, "%s says more than %zu bytes.", order->address,
                          order->output_max);
    }
    return true;
}

static bool ended(struct talk *talk)
{
    int status = ssh_channel_get_exit_status(talk->channel);
    talk->answer->exit_status = status < 0 ? -1 : status;
    if (status < 0 && !ssh_is_connected(talk->session))
        return lost(talk);
    return status >= 0 || talk->signalled ||
           end_as(talk, VR_SSH_LOST, "%s closed the command's channel and told no result of it.",
                  talk->order->address);
}

/* Whether the command is over and all of its output read. */
static bool is_over(struct talk *talk)
{
    return ssh_channel_is_closed(talk->channel) ||
           (ssh_channel_is_eof(talk->channel) && ssh_channel_get_exit_status(talk->channel) >= 0);
}

static bool run_command(struct talk *talk)
{
    const struct vr_ssh_order *order = talk->order;
    int64_t end = now_ms() + (int64_t)order->limit_s * 1000, heard = now_ms();
    for (;;) {
        uint64_t before = talk->traffic.in_bytes;
        bool any;
        if (!read_output(talk, &any) || !write_input(talk))
            return false;
        if (any)
            heard = now_ms();
        else if (is_over(talk))
            return ended(talk);
        /* Whichever call took something from the socket, another one may be what it is for. */
        talk->more = any || talk->traffic.in_bytes != before;
        talk->deadline = MIN(end, heard + (int64_t)order->silence_s * 1000);
        if (!wait_session(talk)) {
            if (talk->answer->outcome == VR_SSH_TIMED_OUT)
                end_as(talk, VR_SSH_TIMED_OUT, "%s %s.", order->address,
                       now_ms() >= end ? "took too long" : "said nothing for too long");
            return false;
        }
    }
}

void vr_ssh_run(const struct vr_ssh_order *order, struct vr_ssh_answer *ret)
{
    struct talk talk = { .order = order, .answer = ret, .fd = -1 };
    *ret = (struct vr_ssh_answer){ .exit_status = -1,
                                   .output = g_string_new(NULL),
                                   .noise = g_string_new(NULL) };
    if (connect_host(&talk) && log_in(&talk) && start_command(&talk))
        run_command(&talk);
    close_talk(&talk);
}
