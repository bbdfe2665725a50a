// libslirp's interface (version 4 of its configuration), found at run time: nothing of it is needed to build. And the tap device.
#ifndef MYNAH_CHOST_NETWORK_H
#define MYNAH_CHOST_NETWORK_H

#include <stddef.h>
#include <stdint.h>

struct mynah_slirp;
typedef struct mynah_slirp mynah_slirp;

// What the library calls. `context` is what was given to mynah_slirp_open. All calls come out of calls into the library.
typedef struct mynah_slirp_events {
    void *_Nullable context;
    void (*_Nonnull frame)(void *_Nullable context, const void *_Nonnull bytes, size_t count);   // from the network to the guest
    int64_t (*_Nonnull nanoseconds)(void *_Nullable context);                                    // the clock of its timers
    void (*_Nonnull message)(void *_Nullable context, const char *_Nonnull text);
} mynah_slirp_events;

// The network 10.0.2.0/24 as qemu has it: host and gateway .2, name server .3, guests from .15. Returns NULL with a reason in
// `error`.
mynah_slirp *_Nullable mynah_slirp_open(
    const mynah_slirp_events *_Nonnull events, int restricted, const char *_Nonnull *_Nonnull error);
void mynah_slirp_close(mynah_slirp *_Nonnull slirp);
// A frame from the guest.
void mynah_slirp_input(mynah_slirp *_Nonnull slirp, const void *_Nonnull bytes, int count);
// Connections to a port of the host go to the guest; addresses as four bytes in network order, 0 for any and for the first guest.
int mynah_slirp_forward(
    mynah_slirp *_Nonnull slirp, int is_udp, uint32_t host_address, int host_port, uint32_t guest_address, int guest_port);
// Fills `descriptors` (struct pollfd) with what to wait for; lowers `timeout` (milliseconds, -1 for ever). Returns the count.
int mynah_slirp_prepare(mynah_slirp *_Nonnull slirp, void *_Nonnull descriptors, int capacity, int *_Nonnull timeout);
// After the wait: `failed` when poll itself did. Runs timers that are due.
void mynah_slirp_dispatch(mynah_slirp *_Nonnull slirp, void *_Nonnull descriptors, int count, int failed);

// Opens the tap interface `name`, or a new one when it is empty. Returns a descriptor or -errno.
int mynah_open_tap(const char *_Nonnull name);

#endif
