/* What the mock and the load generator share: the clock, growing buffers, whole writes. */
#ifndef BENCH_NET_H
#define BENCH_NET_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

typedef struct {
  char *data;
  size_t len, cap;
} Buffer;

/* Room for `more` bytes and a closing NUL. */
static inline void reserve(Buffer *b, size_t more) {
  if (b->cap - b->len > more) return;
  while (b->cap - b->len <= more) b->cap = b->cap ? b->cap * 2 : 16384;
  b->data = realloc(b->data, b->cap);
  if (!b->data) abort();
}

static inline void consume(Buffer *b, size_t n) {
  memmove(b->data, b->data + n, b->len - n);
  b->len -= n;
}

/* Sends everything, waiting up to two seconds for a full socket. 0, or -1 when the peer is gone. */
static inline int send_all(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
    if (sent >= 0) {
      p += sent;
      n -= (size_t)sent;
    } else if (errno == EAGAIN) {
      struct pollfd wait = {fd, POLLOUT, 0};
      if (poll(&wait, 1, 2000) <= 0) return -1;
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return 0;
}

static inline void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

/* Length of a message head with its empty line, 0 when it is not whole yet. */
static inline size_t head_length(const Buffer *b) {
  const char *end = memmem(b->data, b->len, "\r\n\r\n", 4);
  return end ? (size_t)(end - b->data) + 4 : 0;
}

/* Value of a header in the first `head` bytes, NULL when absent. `name` is "\nname:". */
static inline char *header(Buffer *b, size_t head, const char *name) {
  char kept = b->data[head - 1];
  b->data[head - 1] = 0;
  char *found = strcasestr(b->data, name);
  b->data[head - 1] = kept;
  return found ? found + strlen(name) : NULL;
}

#endif
