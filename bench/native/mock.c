/* Mock provider: one epoll thread, fast enough that it is never what is measured.
 *
 *   mock --port P [--reply-bytes N] [--chunks N] [--delay-us D] [--behave hang|drip|flood]
 *
 * POST   a canned answer in the dialect that the path names (chat completions where it names none), or an SSE stream of chat
 *        completion chunks when the body holds "stream":true
 * GET    its counters as JSON
 *
 * --behave makes a provider of the worst kind: it takes requests and says nothing, or one byte a second, or never stops.
 *
 * A marker in the body overrides the defaults: [[sse:CHUNKS:DELAY_US]] for a stream, [[think:US]] delays any answer.
 * Each streamed event carries "t=<CLOCK_MONOTONIC ns> ", so a client on this machine can tell how long it was under way.
 */
#include "net.h"

#define MAX_FD 65536

typedef struct {
  int fd;
  int slot; /* in the heap of what is due, -1 when not there */
  int streaming, thinking;
  long left, index; /* events to send, events sent */
  size_t sent; /* bytes of a dripped answer, or of the block of a flood */
  uint64_t due, delay;
  Buffer in;
} Conn;

enum { WELL, HANG, DRIP, FLOOD };

static Conn *conns[MAX_FD];
static Conn *heap[MAX_FD];
static int heap_size, poller;
static uint64_t requests, streams, sse_events, connections, aborts;
static long default_chunks = 50;
static uint64_t default_delay = 5000;
static Buffer replies[4], block;
static int behaviour;
static volatile sig_atomic_t stopping;

static const char SSE_HEAD[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nx-request-id: req_mock0123456789\r\n"
    "openai-processing-ms: 12\r\nx-ratelimit-remaining-requests: 9999\r\ntransfer-encoding: chunked\r\n\r\n";
static const char EVENT_HEAD[] =
    "data: {\"id\":\"chatcmpl-mock0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"
    "\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":{";

/* ---- the heap of connections by due time ---- */

static void swap(int a, int b) {
  Conn *kept = heap[a];
  heap[a] = heap[b];
  heap[b] = kept;
  heap[a]->slot = a;
  heap[b]->slot = b;
}

static void sift_up(int i) {
  for (; i && heap[(i - 1) / 2]->due > heap[i]->due; i = (i - 1) / 2) swap((i - 1) / 2, i);
}

static void sift_down(int i) {
  for (;;) {
    int least = i;
    for (int child = 2 * i + 1; child <= 2 * i + 2; child++)
      if (child < heap_size && heap[child]->due < heap[least]->due) least = child;
    if (least == i) return;
    swap(i, least);
    i = least;
  }
}

static void schedule(Conn *c, uint64_t due) {
  c->due = due;
  c->slot = heap_size;
  heap[heap_size++] = c;
  sift_up(c->slot);
}

static void unschedule(Conn *c) {
  int i = c->slot;
  if (i < 0) return;
  c->slot = -1;
  if (i == --heap_size) return;
  heap[i] = heap[heap_size];
  heap[i]->slot = i;
  sift_up(i);
  sift_down(heap[i]->slot == i ? i : heap[i]->slot);
}

/* ---- answers ---- */

static int send_event(Conn *c, const char *text, int n, const char *tail) {
  char out[2048];
  sse_events++;
  int m = snprintf(out, sizeof out, "%x\r\n%.*s\r\n%s", n, n, text, tail);
  return send_all(c->fd, out, (size_t)m);
}

static int send_chunk(Conn *c) {
  char text[1024];
  int n = snprintf(text, sizeof text, "%s%s\"content\":\"t=%llu \"},\"logprobs\":null,\"finish_reason\":null}]}\n\n", EVENT_HEAD,
                   c->index ? "" : "\"role\":\"assistant\",", (unsigned long long)now_ns());
  c->index++;
  c->left--;
  return send_event(c, text, n, "");
}

static int send_last(Conn *c) {
  char text[1024];
  int n = snprintf(text, sizeof text,
                   "%s},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":500,\"completion_tokens\":%ld,"
                   "\"total_tokens\":%ld}}\n\ndata: [DONE]\n\n",
                   EVENT_HEAD, c->index, c->index + 500);
  return send_event(c, text, n, "0\r\n\r\n");
}

/* Begin and end of each dialect's answer; the text stands between them. */
static const struct {
  const char *path, *begin, *end;
} DIALECTS[] = {
    {"/chat/completions",
     "{\"id\":\"chatcmpl-mock0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1790000000,"
     "\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
     "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":500,"
     "\"completion_tokens\":160,\"total_tokens\":660},\"system_fingerprint\":\"fp_mock\"}"},
    {"/responses",
     "{\"id\":\"resp_mock00000000\",\"object\":\"response\",\"created_at\":1790000000,\"status\":\"completed\",\"error\":null,"
     "\"model\":\"gpt-4o-2024-08-06\",\"output\":[{\"type\":\"message\",\"id\":\"msg_mock\",\"status\":\"completed\","
     "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"",
     "\"}]}],\"usage\":{\"input_tokens\":500,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":160,"
     "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":660}}"},
    {"/messages",
     "{\"id\":\"msg_mock0123456789abcdef\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5-20250929\","
     "\"content\":[{\"type\":\"text\",\"text\":\"",
     "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":500,\"output_tokens\":160}}"},
    {":generateContent",
     "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"",
     "\"}]},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":500,\"candidatesTokenCount\":160,"
     "\"totalTokenCount\":660},\"modelVersion\":\"gemini-2.0-flash-001\",\"responseId\":\"mock0123456789abcdef\"}"},
};

static void make_reply(int which, int bytes) {
  static const char words[] = "The quick brown fox jumps over the lazy dog and replies to you. ";
  Buffer body = {0}, *reply = &replies[which];
  reserve(&body, (size_t)bytes + 2048);
  body.len = (size_t)sprintf(body.data, "%s", DIALECTS[which].begin);
  for (int i = 0; i < bytes; i++) body.data[body.len++] = words[(size_t)i % (sizeof words - 1)];
  body.len += (size_t)sprintf(body.data + body.len, "%s", DIALECTS[which].end);
  reserve(reply, body.len + 512);
  reply->len = (size_t)sprintf(reply->data,
                               "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_mock0123456789\r\n"
                               "openai-processing-ms: 12\r\nx-ratelimit-remaining-requests: 9999\r\ncontent-length: %zu\r\n\r\n",
                               body.len);
  memcpy(reply->data + reply->len, body.data, body.len);
  reply->len += body.len;
  free(body.data);
}

/* The answer to a request line. Ids of stored responses are somebody's, so each is another. */
static Buffer *reply_to(const char *line) {
  const char *end = memchr(line, '\r', 512);
  size_t n = end ? (size_t)(end - line) : 0;
  for (size_t i = 1; i < 4; i++) {
    if (!memmem(line, n, DIALECTS[i].path, strlen(DIALECTS[i].path))) continue;
    char *id = i == 1 ? memmem(replies[i].data, replies[i].len, "resp_mock", 9) : NULL, digits[9];
    if (id) {
      snprintf(digits, sizeof digits, "%08llx", (unsigned long long)requests);
      memcpy(id + 9, digits, 8);
    }
    return &replies[i];
  }
  return &replies[0];
}

/* ---- providers of the worst kind ---- */

static void make_block(void) {
  reserve(&block, 65536 + 16);
  block.len = (size_t)sprintf(block.data, "10000\r\n");
  memset(block.data + block.len, 'x', 65536);
  block.len += 65536;
  memcpy(block.data + block.len, "\r\n", 2);
  block.len += 2;
}

/* The next byte of a dripped answer, or as much of a flood as the socket takes. -1 drops the connection. */
static int misbehave(Conn *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
  if (behaviour == FLOOD && !c->index++) return send_all(c->fd, head, sizeof head - 1);
  Buffer *from = behaviour == DRIP ? &replies[0] : &block;
  size_t left = from->len - c->sent;
  ssize_t n = send(c->fd, from->data + c->sent, behaviour == DRIP ? 1 : left, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && errno != EAGAIN) return -1;
  c->sent = (c->sent + (n > 0 ? (size_t)n : 0)) % from->len;
  c->due = now_ns() + (behaviour == DRIP ? 1000000000ull : n < 0 ? 1000000ull : 1000ull);
  sift_down(c->slot);
  return 0;
}

static int send_counters(Conn *c) {
  char body[256], out[512];
  int n = snprintf(body, sizeof body, "{\"requests\":%llu,\"streams\":%llu,\"events\":%llu,\"connections\":%llu,\"aborts\":%llu}\n",
                   (unsigned long long)requests, (unsigned long long)streams, (unsigned long long)sse_events,
                   (unsigned long long)connections, (unsigned long long)aborts);
  n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", n, body);
  return send_all(c->fd, out, (size_t)n);
}

/* ---- requests ---- */

static int serve(Conn *c);

/* A connection is due: the thinking is over, or the next event goes out. -1 drops it. */
static int step(Conn *c) {
  if (behaviour) return misbehave(c);
  if (c->thinking && !c->streaming) {
    c->thinking = 0;
    unschedule(c);
    return send_all(c->fd, replies[0].data, replies[0].len) < 0 ? -1 : serve(c);
  }
  if (c->index == 0 && send_all(c->fd, SSE_HEAD, sizeof SSE_HEAD - 1) < 0) return -1;
  for (;;) {
    if (c->left <= 0) {
      c->streaming = c->thinking = 0;
      unschedule(c);
      return send_last(c) < 0 ? -1 : serve(c);
    }
    if (send_chunk(c) < 0) return -1;
    if (c->delay) {
      c->due += c->delay;
      sift_down(c->slot);
      return 0;
    }
  }
}

/* Answers one whole request of which `body` is the payload; the request line is what the buffer begins with. */
static int answer(Conn *c, const char *body, size_t n) {
  requests++;
  if (behaviour) {
    c->streaming = 1;
    c->sent = 0;
    c->index = 0;
    if (behaviour != HANG) schedule(c, now_ns());
    return 0;
  }
  const char *think = memmem(body, n, "[[think:", 8), *sse = memmem(body, n, "[[sse:", 6);
  uint64_t wait = think ? strtoull(think + 8, NULL, 10) * 1000 : 0;
  c->streaming = memmem(body, n, "\"stream\":true", 13) || memmem(body, n, "\"stream\": true", 14);
  c->thinking = wait > 0;
  if (c->streaming) {
    char *rest = NULL;
    streams++;
    c->index = 0;
    c->left = sse ? strtol(sse + 6, &rest, 10) : default_chunks;
    c->delay = (rest && *rest == ':' ? strtoull(rest + 1, NULL, 10) : default_delay) * 1000;
  } else if (!wait) {
    Buffer *reply = reply_to(c->in.data);
    return send_all(c->fd, reply->data, reply->len);
  }
  schedule(c, now_ns() + wait);
  return 0;
}

/* Whole length of the first request in the buffer, 0 when more bytes are needed. */
static size_t request_length(Conn *c, size_t head) {
  char *length = header(&c->in, head, "\ncontent-length:");
  if (length) {
    size_t total = head + strtoul(length, NULL, 10);
    return c->in.len >= total ? total : 0;
  }
  if (!header(&c->in, head, "\ntransfer-encoding:")) return head;
  char *end = memmem(c->in.data + head - 2, c->in.len - head + 2, "\r\n0\r\n\r\n", 7);
  return end ? (size_t)(end + 7 - c->in.data) : 0;
}

/* Answers the requests that are whole, in order. -1 drops the connection. */
static int serve(Conn *c) {
  while (!c->streaming && !c->thinking && c->in.len) {
    size_t head = head_length(&c->in), total = head ? request_length(c, head) : 0;
    if (!total) return 0;
    int get = c->in.data[0] == 'G';
    if ((get ? send_counters(c) : answer(c, c->in.data + head, total - head)) < 0) return -1;
    consume(&c->in, total);
  }
  return 0;
}

static void drop(Conn *c) {
  if (c->streaming) aborts++;
  unschedule(c);
  close(c->fd);
  conns[c->fd] = NULL;
  free(c->in.data);
  free(c);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MAX_FD) {
      close(fd);
      continue;
    }
    Conn *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->slot = -1;
    conns[fd] = c;
    connections++;
    no_delay(fd);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
}

static void on_readable(Conn *c) {
  reserve(&c->in, 65536);
  ssize_t n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len - 1, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    drop(c);
    return;
  }
  c->in.len += (size_t)n;
  if (serve(c) < 0) drop(c);
}

static void on_signal(int number) {
  (void)number;
  stopping = 1;
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  struct sockaddr_in address = loopback(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1024)) {
    perror("mock: bind");
    exit(1);
  }
  return fd;
}

static void run(int listener) {
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  while (!stopping) {
    struct timespec wait = {1, 0};
    if (heap_size) {
      uint64_t now = now_ns(), left = heap[0]->due > now ? heap[0]->due - now : 0;
      if (left < 1000000000ull) wait = (struct timespec){0, (long)left};
    }
    int n = epoll_pwait2(poller, events, 256, &wait, NULL);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener)
        accept_all(listener);
      else if (conns[events[i].data.fd])
        on_readable(conns[events[i].data.fd]);
    }
    for (uint64_t now = now_ns(); heap_size && heap[0]->due <= now;) {
      Conn *c = heap[0];
      if (step(c) < 0) drop(c);
    }
  }
}

int main(int argc, char **argv) {
  int port = 9100, bytes = 700;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
    if (!strcmp(argv[i], "--reply-bytes")) bytes = atoi(argv[i + 1]);
    if (!strcmp(argv[i], "--chunks")) default_chunks = atol(argv[i + 1]);
    if (!strcmp(argv[i], "--delay-us")) default_delay = strtoull(argv[i + 1], NULL, 10);
    if (!strcmp(argv[i], "--behave"))
      behaviour = !strcmp(argv[i + 1], "hang") ? HANG : !strcmp(argv[i + 1], "drip") ? DRIP : FLOOD;
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  prctl(PR_SET_TIMERSLACK, 1000);
  for (int i = 0; i < 4; i++) make_reply(i, bytes);
  make_block();
  poller = epoll_create1(0);
  run(listen_on(port));
  return 0;
}
