// Sockets and waiting: pairs, local names, loopback TCP and UDP, passed descriptors, poll, select, epoll, eventfd.
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

static void pairs(void) {
    int ends[2];
    char buffer[64] = {0};
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    EXPECT(send(ends[0], "hello", 5, 0) == 5 && recv(ends[1], buffer, 64, MSG_PEEK) == 5 && recv(ends[1], buffer, 64, 0) == 5, "send, peek and receive");
    EXPECT(recv(ends[1], buffer, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN, "nothing more, without waiting");
    int pipe_ends[2];
    if (pipe(pipe_ends)) perror("pipe");
    union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {{0}};
    struct iovec part = {"d", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pipe_ends[1], sizeof(int));
    EXPECT(sendmsg(ends[0], &message, 0) == 1, "sendmsg with a descriptor");
    struct iovec into = {buffer, 64};
    memset(&control, 0, sizeof control);
    message = (struct msghdr){.msg_iov = &into, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    int passed = -1;
    EXPECT(recvmsg(ends[1], &message, 0) == 1 && (header = CMSG_FIRSTHDR(&message)) && header->cmsg_type == SCM_RIGHTS, "recvmsg");
    if (header) memcpy(&passed, CMSG_DATA(header), sizeof passed);
    EXPECT(passed >= 0 && write(passed, "via", 3) == 3 && read(pipe_ends[0], buffer, 64) == 3, "the passed descriptor works");
    shutdown(ends[0], SHUT_WR);
    EXPECT(recv(ends[1], buffer, 64, 0) == 0 && send(ends[1], "x", 1, 0) == 1, "a half-closed pair");
    close(ends[0]), close(ends[1]), close(passed), close(pipe_ends[0]), close(pipe_ends[1]);
}

static void *echo_once(void *argument) {
    int listener = (int)(long)argument, peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char buffer[4096];
    ssize_t got;
    while ((got = read(peer, buffer, sizeof buffer)) > 0)
        for (ssize_t sent = 0; sent < got;) sent += write(peer, buffer + sent, (size_t)(got - sent));
    close(peer);
    return NULL;
}

static int exchange(int socket) {
    static unsigned char out[100000], in[100000];
    for (size_t i = 0; i < sizeof out; i++) out[i] = (unsigned char)(i * 7 + (i >> 8));
    size_t sent = 0, got = 0;
    while (got < sizeof in) {
        if (sent < sizeof out) {
            size_t chunk = sizeof out - sent < 4096 ? sizeof out - sent : 4096;
            ssize_t wrote = write(socket, out + sent, chunk);
            if (wrote <= 0) return 0;
            sent += (size_t)wrote;
        }
        ssize_t count = read(socket, in + got, sizeof in - got);
        if (count <= 0) return 0;
        got += (size_t)count;
    }
    return !memcmp(in, out, sizeof in);
}

static void tcp(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, value = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address, length = sizeof value;
    EXPECT(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0, "setsockopt");
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0, "bind and listen");
    EXPECT(getsockname(listener, (struct sockaddr *)&address, &size) == 0 && address.sin_port && size == sizeof address, "getsockname tells the port");
    pthread_t thread;
    pthread_create(&thread, NULL, echo_once, (void *)(long)listener);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    EXPECT(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 && getsockopt(client, SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_STREAM, "getsockopt");
    struct sockaddr_in peer;
    size = sizeof peer;
    EXPECT(getpeername(client, (struct sockaddr *)&peer, &size) == 0 && peer.sin_port == address.sin_port, "getpeername");
    EXPECT(exchange(client), "a hundred thousand bytes come back over loopback TCP");
    shutdown(client, SHUT_WR);
    pthread_join(thread, NULL);
    close(client), close(listener);
    client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(client, (struct sockaddr *)&address, sizeof address) == -1 && errno == ECONNREFUSED, "a closed port refuses");
    close(client);
}

static void udp(void) {
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t size = sizeof address;
    bind(receiver, (struct sockaddr *)&address, sizeof address);
    getsockname(receiver, (struct sockaddr *)&address, &size);
    char buffer[16];
    EXPECT(sendto(sender, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address) == 8, "sendto");
    size = sizeof from;
    EXPECT(recvfrom(receiver, buffer, 16, 0, (struct sockaddr *)&from, &size) == 8 && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK), "recvfrom tells the sender");
    close(receiver), close(sender);
}

static void local_names(void) {
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/check-socket-%d", (int)getpid());
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0, "a socket with a name");
    pthread_t thread;
    pthread_create(&thread, NULL, echo_once, (void *)(long)listener);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(connect(client, (struct sockaddr *)&address, sizeof address) == 0 && exchange(client), "an exchange over it");
    struct ucred peer;
    socklen_t size = sizeof peer;
    EXPECT(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid(), "it knows its peer");
    shutdown(client, SHUT_WR);
    pthread_join(thread, NULL);
    close(client), close(listener);
    unlink(address.sun_path);
}

static void *write_later(void *argument) {
    usleep(20000);
    uint64_t one = 1;
    return (void *)(long)(write((int)(long)argument, &one, 8) != 8);
}

static void waiting(void) {
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t value = 5;
    EXPECT(read(event, &value, 8) == -1 && errno == EAGAIN && write(event, &value, 8) == 8 && write(event, &value, 8) == 8, "eventfd");
    EXPECT(read(event, &value, 8) == 8 && value == 10, "eventfd adds up");
    struct pollfd polled = {.fd = event, .events = POLLIN | POLLOUT};
    EXPECT(poll(&polled, 1, 0) == 1 && polled.revents == POLLOUT, "poll tells what is ready");
    polled = (struct pollfd){.fd = 900, .events = POLLIN};
    EXPECT(poll(&polled, 1, 0) == 1 && polled.revents == POLLNVAL, "poll names bad descriptors");
    polled = (struct pollfd){.fd = event, .events = POLLIN};
    struct timespec soon = {0, 5000000};
    EXPECT(poll(&polled, 1, 5) == 0 && ppoll(&polled, 1, &soon, NULL) == 0, "poll ends after its time");
    pthread_t thread;
    pthread_create(&thread, NULL, write_later, (void *)(long)event);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(event, &set);
    struct timeval limit = {300, 0};
    EXPECT(select(event + 1, &set, NULL, NULL, &limit) == 1 && FD_ISSET(event, &set), "select waits for another thread");
    pthread_join(thread, NULL);
    int queue = epoll_create1(EPOLL_CLOEXEC), ends[2];
    if (pipe(ends)) perror("pipe");
    struct epoll_event interest = {.events = EPOLLIN, .data.u64 = 0x1122334455667788ull}, ready[4];
    EXPECT(epoll_ctl(queue, EPOLL_CTL_ADD, event, &interest) == 0, "epoll_ctl adds");
    EXPECT(epoll_ctl(queue, EPOLL_CTL_ADD, event, &interest) == -1 && errno == EEXIST, "but once");
    EXPECT(epoll_wait(queue, ready, 4, 0) == 1 && ready[0].data.u64 == 0x1122334455667788ull && ready[0].events == EPOLLIN, "epoll_wait gives the data back");
    interest = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = ends[0]};
    epoll_ctl(queue, EPOLL_CTL_DEL, event, NULL);
    epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &interest);
    EXPECT(write(ends[1], "x", 1) == 1 && epoll_wait(queue, ready, 4, 100) == 1 && epoll_wait(queue, ready, 4, 0) == 0, "edge-triggered events come once");
    close(ends[1]);
    EXPECT(epoll_pwait(queue, ready, 4, 100, NULL) == 1 && ready[0].events & EPOLLHUP, "a closed end hangs up");
    close(ends[0]), close(queue), close(event);
}

static void signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC);
    struct signalfd_siginfo info;
    raise(SIGUSR2);
    EXPECT(descriptor >= 0 && read(descriptor, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR2 && info.ssi_pid == (uint32_t)getpid(), "signalfd");
    close(descriptor);
}

int main(void) {
    pairs();
    tcp();
    udp();
    local_names();
    waiting();
    signal_descriptor();
    return conclude();
}
