// libslirp at run time: its structures as its ABI has them since 4.0, its timers, and its poll call-backs. No policy.
#define _GNU_SOURCE
#include "CHostNetwork.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef void (*timer_body)(void *opaque);

struct slirp_configuration {
    uint32_t version;
    int restricted;
    bool in_enabled;
    struct in_addr network, mask, host;
    bool in6_enabled;
    struct in6_addr prefix6;
    uint8_t prefix6_length;
    struct in6_addr host6;
    const char *host_name, *tftp_server, *tftp_path, *boot_file;
    struct in_addr dhcp_start, name_server;
    struct in6_addr name_server6;
    const char **search_domains;
    const char *domain;
    size_t mtu, mru;
    bool disable_host_loopback, enable_emulation;
};

struct slirp_callbacks {
    ssize_t (*send_packet)(const void *bytes, size_t count, void *opaque);
    void (*guest_error)(const char *text, void *opaque);
    int64_t (*clock_get_ns)(void *opaque);
    void *(*timer_new)(timer_body body, void *body_opaque, void *opaque);
    void (*timer_free)(void *timer, void *opaque);
    void (*timer_mod)(void *timer, int64_t milliseconds, void *opaque);
    void (*register_poll_fd)(int descriptor, void *opaque);
    void (*unregister_poll_fd)(int descriptor, void *opaque);
    void (*notify)(void *opaque);
};

// Events of its poll interface.
enum { SLIRP_IN = 1, SLIRP_OUT = 2, SLIRP_PRIORITY = 4, SLIRP_ERROR = 8, SLIRP_HANGUP = 16 };

struct timer {
    struct timer *next;
    timer_body body;
    void *opaque;
    int64_t deadline;   // milliseconds; negative when it is not set
};

struct mynah_slirp {
    void *library, *instance;
    mynah_slirp_events events;
    struct slirp_callbacks callbacks;
    struct timer *timers;
    struct pollfd *polled;
    int polled_count, polled_capacity;
    void (*cleanup)(void *);
    void (*input)(void *, const uint8_t *, int);
    void (*pollfds_fill)(void *, uint32_t *, int (*)(int, int, void *), void *);
    void (*pollfds_poll)(void *, int, int (*)(int, void *), void *);
    int (*add_hostfwd)(void *, int, struct in_addr, int, struct in_addr, int);
};

static ssize_t send_packet(const void *bytes, size_t count, void *opaque) {
    mynah_slirp *slirp = opaque;
    slirp->events.frame(slirp->events.context, bytes, count);
    return (ssize_t)count;
}
static void guest_error(const char *text, void *opaque) {
    mynah_slirp *slirp = opaque;
    slirp->events.message(slirp->events.context, text);
}
static int64_t clock_nanoseconds(void *opaque) {
    mynah_slirp *slirp = opaque;
    return slirp->events.nanoseconds(slirp->events.context);
}
static void *timer_new(timer_body body, void *body_opaque, void *opaque) {
    mynah_slirp *slirp = opaque;
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer) abort();
    *timer = (struct timer){ slirp->timers, body, body_opaque, -1 };
    slirp->timers = timer;
    return timer;
}
static void timer_free(void *which, void *opaque) {
    mynah_slirp *slirp = opaque;
    for (struct timer **place = &slirp->timers; *place; place = &(*place)->next) {
        if (*place != which) continue;
        *place = (*place)->next;
        free(which);
        return;
    }
}
static void timer_mod(void *which, int64_t milliseconds, void *opaque) {
    (void)opaque;
    ((struct timer *)which)->deadline = milliseconds;
}
static void ignore_descriptor(int descriptor, void *opaque) { (void)descriptor; (void)opaque; }
static void ignore_notify(void *opaque) { (void)opaque; }

static int load(mynah_slirp *slirp, void *(**create)(const void *, const void *, void *)) {
    struct { const char *name; void *place; } functions[] = {
        { "slirp_new", create }, { "slirp_cleanup", &slirp->cleanup }, { "slirp_input", &slirp->input },
        { "slirp_pollfds_fill", &slirp->pollfds_fill }, { "slirp_pollfds_poll", &slirp->pollfds_poll },
        { "slirp_add_hostfwd", &slirp->add_hostfwd },
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *found = dlsym(slirp->library, functions[i].name);
        if (!found) return -1;
        memcpy(functions[i].place, &found, sizeof found);
    }
    return 0;
}

mynah_slirp *mynah_slirp_open(const mynah_slirp_events *events, int restricted, const char **error) {
    mynah_slirp *slirp = calloc(1, sizeof *slirp);
    *error = "out of memory";
    if (!slirp) return NULL;
    slirp->events = *events;
    *error = "the library libslirp.so.0 is not installed";
    slirp->library = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!slirp->library) { free(slirp); return NULL; }
    void *(*create)(const void *, const void *, void *) = NULL;
    *error = "the library libslirp.so.0 is too old";
    if (load(slirp, &create) == 0) {
        struct slirp_configuration configuration = {
            .version = 1, .restricted = restricted, .in_enabled = true,
            .network.s_addr = htonl(0x0a000200), .mask.s_addr = htonl(0xffffff00), .host.s_addr = htonl(0x0a000202),
            .dhcp_start.s_addr = htonl(0x0a00020f), .name_server.s_addr = htonl(0x0a000203),
            .in6_enabled = true, .prefix6_length = 64, .host_name = "mynah",
        };
        inet_pton(AF_INET6, "fec0::", &configuration.prefix6);
        inet_pton(AF_INET6, "fec0::2", &configuration.host6);
        inet_pton(AF_INET6, "fec0::3", &configuration.name_server6);
        slirp->callbacks = (struct slirp_callbacks){
            send_packet, guest_error, clock_nanoseconds, timer_new, timer_free, timer_mod, ignore_descriptor, ignore_descriptor,
            ignore_notify,
        };
        *error = "the library libslirp.so.0 does not start";
        slirp->instance = create(&configuration, &slirp->callbacks, slirp);
    }
    if (slirp->instance) return slirp;
    dlclose(slirp->library);
    free(slirp);
    return NULL;
}

void mynah_slirp_close(mynah_slirp *slirp) {
    slirp->cleanup(slirp->instance);
    while (slirp->timers) timer_free(slirp->timers, slirp);
    dlclose(slirp->library);
    free(slirp);
}

void mynah_slirp_input(mynah_slirp *slirp, const void *bytes, int count) { slirp->input(slirp->instance, bytes, count); }

int mynah_slirp_forward(
    mynah_slirp *slirp, int is_udp, uint32_t host_address, int host_port, uint32_t guest_address, int guest_port) {
    struct in_addr host = { host_address }, guest = { guest_address };
    return slirp->add_hostfwd(slirp->instance, is_udp, host, host_port, guest, guest_port);
}

static int add_poll(int descriptor, int events, void *opaque) {
    mynah_slirp *slirp = opaque;
    if (slirp->polled_count == slirp->polled_capacity) return -1;
    short wanted = 0;
    if (events & SLIRP_IN) wanted |= POLLIN;
    if (events & SLIRP_OUT) wanted |= POLLOUT;
    if (events & SLIRP_PRIORITY) wanted |= POLLPRI;
    slirp->polled[slirp->polled_count] = (struct pollfd){ descriptor, wanted, 0 };
    return slirp->polled_count++;
}

static int get_events(int index, void *opaque) {
    mynah_slirp *slirp = opaque;
    if (index < 0 || index >= slirp->polled_count) return 0;
    short seen = slirp->polled[index].revents;
    int events = 0;
    if (seen & POLLIN) events |= SLIRP_IN;
    if (seen & POLLOUT) events |= SLIRP_OUT;
    if (seen & POLLPRI) events |= SLIRP_PRIORITY;
    if (seen & POLLERR) events |= SLIRP_ERROR;
    if (seen & POLLHUP) events |= SLIRP_HANGUP;
    return events;
}

int mynah_slirp_prepare(mynah_slirp *slirp, void *descriptors, int capacity, int *timeout) {
    uint32_t limit = *timeout < 0 ? UINT32_MAX : (uint32_t)*timeout;
    slirp->polled = descriptors;
    slirp->polled_capacity = capacity;
    slirp->polled_count = 0;
    slirp->pollfds_fill(slirp->instance, &limit, add_poll, slirp);
    int64_t now = clock_nanoseconds(slirp) / 1000000;
    for (struct timer *timer = slirp->timers; timer; timer = timer->next) {
        if (timer->deadline < 0) continue;
        int64_t wait = timer->deadline <= now ? 0 : timer->deadline - now;
        if ((uint64_t)wait < limit) limit = (uint32_t)wait;
    }
    *timeout = limit > INT32_MAX ? -1 : (int)limit;
    return slirp->polled_count;
}

void mynah_slirp_dispatch(mynah_slirp *slirp, void *descriptors, int count, int failed) {
    slirp->polled = descriptors;
    slirp->polled_count = count;
    slirp->pollfds_poll(slirp->instance, failed, get_events, slirp);
    int64_t now = clock_nanoseconds(slirp) / 1000000;
    // A body may add and remove timers: begin again after each.
    for (int rounds = 0; rounds < 64; rounds++) {
        struct timer *due = slirp->timers;
        while (due && (due->deadline < 0 || due->deadline > now)) due = due->next;
        if (!due) return;
        due->deadline = -1;
        due->body(due->opaque);
    }
}

int mynah_open_tap(const char *name) {
    int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return -errno;
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(descriptor, TUNSETIFF, &request) == 0) return descriptor;
    int reason = errno;
    close(descriptor);
    return -reason;
}
