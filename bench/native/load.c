/* Load generator: one epoll thread, keep-alive connections to 127.0.0.1, bounded in time.
 *
 *   load --port P --body FILE [--path /v1/chat/completions] [--conns 32] [--secs 3] [--warm 0.3]
 *     --rate R        open loop: constant arrivals, latency counted from the scheduled instant; 0 is a closed loop
 *     --stream        answers are SSE; the mock's time stamps give each event's way
 *     --keys N        connection i sends the bearer key of tenant i mod N: sk-bench-tenant-NNNN
 *     --run-steps K   each connection is an agent whose runs have K requests: x-trivet-run changes every K requests
 *     --runs N        or: x-trivet-run is one of N ids, in turn
 *     --require NAME  an answer without this header is an error
 *
 * Answers are compared with the first one, byte by byte but for what must differ (request, run and ticket of Trivet, dates):
 * `different` counts those that are not the same, `digest` names the first. Streams carry time stamps and are not compared.
 *
 * Prints one JSON object; times are microseconds. What began before the warm-up ended is not counted.
 */
#include "net.h"

typedef struct {
  uint64_t *at;
  size_t n, cap;
} Samples;

typedef struct {
  int fd, busy, status, chunked, closing, complete_head, first, missing;
  uint64_t began;    /* when it was due (open loop) or sent */
  uint64_t sequence; /* requests this connection has sent */
  size_t want;       /* whole length of the answer, 0 when only its end tells */
  size_t head;       /* length of its head */
  size_t scanned;    /* bytes already searched for time stamps */
  Buffer in, out;
  char *run; /* where the run number stands in the request, 8 hex digits */
} Conn;

static struct {
  int port, conns, stream, keys;
  long run_steps, runs;
  double secs, warm, rate;
  const char *path, *body, *require;
} opt = {8080, 32, 0, 1, 0, 0, 3, 0.3, 0, "/v1/chat/completions", NULL, NULL};

static Conn *conns;
static int poller, measuring;
static Samples latency, first_byte, event_way;
static uint64_t ok, errors, connect_errors, sent, queue_peak, digest, different;

static void note(Samples *s, uint64_t value) {
  if (s->n == s->cap) {
    s->cap = s->cap ? s->cap * 2 : 65536;
    s->at = realloc(s->at, s->cap * sizeof *s->at);
  }
  s->at[s->n++] = value;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static double percentile(Samples *s, double p) {
  return s->n ? (double)s->at[(size_t)(p * (double)(s->n - 1) + 0.5)] / 1000.0 : -1;
}

/* ---- sending ---- */

static int open_connection(Conn *c) {
  struct sockaddr_in address = loopback(opt.port);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&address, sizeof address)) {
    close(c->fd);
    c->fd = -1;
    connect_errors++;
    return -1;
  }
  no_delay(c->fd);
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - conns)};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
  return 0;
}

static void close_connection(Conn *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

/* Begins a request that was due at `due`. Counts an error when the gateway cannot be reached. */
static void fire(Conn *c, uint64_t due) {
  char number[9];
  if (c->fd < 0 && open_connection(c)) {
    errors++;
    return;
  }
  if (c->run) {
    uint64_t run = opt.runs ? sent % (uint64_t)opt.runs : c->sequence / (uint64_t)opt.run_steps;
    snprintf(number, sizeof number, "%08llx", (unsigned long long)run);
    memcpy(c->run, number, 8);
  }
  sent++;
  c->sequence++;
  c->busy = 1;
  c->began = due;
  c->in.len = c->scanned = c->want = 0;
  c->complete_head = c->first = c->chunked = c->closing = c->missing = 0;
  if (send_all(c->fd, c->out.data, c->out.len) < 0) {
    close_connection(c);
    c->busy = 0;
    errors++;
  }
}

static void prepare(Conn *c, const Buffer *body, unsigned token) {
  int index = (int)(c - conns);
  reserve(&c->out, body->len + 4096);
  c->fd = -1;
  c->out.len = (size_t)sprintf(
      c->out.data,
      "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept: application/json\r\naccept-encoding: identity\r\n"
      "user-agent: OpenAI/Python 3.54.0\r\nx-stainless-lang: python\r\nx-stainless-retry-count: 0\r\n"
      "authorization: Bearer sk-bench-tenant-%04d\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n",
      opt.path, opt.port, index % opt.keys, body->len);
  if (opt.runs || opt.run_steps) {
    c->out.len += (size_t)sprintf(c->out.data + c->out.len, "x-trivet-run: b%08x-%04x-", token, opt.runs ? 0 : index);
    c->run = c->out.data + c->out.len;
    c->out.len += (size_t)sprintf(c->run, "00000000\r\n");
  }
  c->out.len += (size_t)sprintf(c->out.data + c->out.len, "\r\n");
  memcpy(c->out.data + c->out.len, body->data, body->len);
  c->out.len += body->len;
}

/* ---- receiving ---- */

static uint64_t hashed(uint64_t hash, const char *p, size_t n) {
  for (; n; n--) hash = (hash ^ (unsigned char)*p++) * 1099511628211ull;
  return hash;
}

/* Hash of an answer: its body, and every line of its head that two answers to the same request must have in common. */
static uint64_t hash_of(Conn *c) {
  static const char *varies[] = {"x-trivet-request:", "x-trivet-run:", "x-trivet-ticket:", "x-trivet-bound:", "x-run-id:", "date:"};
  uint64_t hash = hashed(14695981039346656037ull, c->in.data + c->head, c->in.len - c->head);
  for (char *line = c->in.data, *end = line + c->head, *next; line < end; line = next) {
    int skip = 0;
    next = memchr(line, '\n', (size_t)(end - line));
    next = next ? next + 1 : end;
    for (size_t i = 0; i < sizeof varies / sizeof *varies; i++) skip |= !strncasecmp(line, varies[i], strlen(varies[i]));
    if (!skip) hash = hashed(hash, line, (size_t)(next - line));
  }
  return hash;
}

static void compare_answer(Conn *c) {
  uint64_t hash = hash_of(c);
  if (!digest) digest = hash;
  different += hash != digest;
}

static void finish(Conn *c, int whole) {
  c->busy = 0;
  int good = whole && c->status == 200 && !c->missing;
  if (!good) errors++;
  if (good && !opt.stream) compare_answer(c);
  if (!measuring || !good) return;
  ok++;
  note(&latency, now_ns() - c->began);
}

/* Finds the mock's "t=<ns> " stamps in what is new. */
static void scan(Conn *c, uint64_t now) {
  char *end = c->in.data + c->in.len, *p = c->in.data + c->scanned;
  while ((p = memmem(p, (size_t)(end - p), "t=", 2))) {
    char *q = p + 2;
    uint64_t stamp = 0;
    while (q < end && *q >= '0' && *q <= '9') stamp = stamp * 10 + (uint64_t)(*q++ - '0');
    if (q == end) break; /* the rest of the stamp has not come yet */
    if (q - p > 10 && *q == ' ' && measuring && now > stamp) note(&event_way, now - stamp);
    p = q;
  }
  c->scanned = p ? (size_t)(p - c->in.data) : c->in.len - (c->in.len && end[-1] == 't');
}

static void read_head(Conn *c, size_t head) {
  char *length = header(&c->in, head, "\ncontent-length:");
  c->complete_head = 1;
  c->head = head;
  c->status = c->in.len > 12 ? atoi(c->in.data + 9) : 0;
  c->chunked = header(&c->in, head, "\ntransfer-encoding: chunked") != NULL;
  c->closing = header(&c->in, head, "\nconnection: close") != NULL;
  c->want = length ? head + strtoul(length, NULL, 10) : 0;
  c->missing = opt.require && !header(&c->in, head, opt.require);
}

static int is_complete(Conn *c) {
  if (!c->complete_head) {
    size_t head = head_length(&c->in);
    if (!head) return 0;
    read_head(c, head);
  }
  if (c->chunked) return c->in.len >= 5 && !memcmp(c->in.data + c->in.len - 5, "0\r\n\r\n", 5);
  return c->want && c->in.len >= c->want;
}

/* Reads what came. 1 when the connection is free again. */
static int on_readable(Conn *c) {
  reserve(&c->in, 65536);
  ssize_t n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len - 1, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) {
    int was_busy = c->busy;
    close_connection(c);
    if (was_busy) finish(c, c->complete_head && !c->want && !c->chunked);
    return was_busy;
  }
  if (!c->busy) return 0; /* stray bytes after an answer */
  uint64_t now = now_ns();
  c->in.len += (size_t)n;
  if (!c->first) {
    c->first = 1;
    if (measuring) note(&first_byte, now - c->began);
  }
  int done = is_complete(c);
  if (opt.stream) scan(c, now);
  if (!done) return 0;
  finish(c, 1);
  if (c->closing) close_connection(c);
  return 1;
}

/* ---- the loop ---- */

#define QUEUE 1000000
typedef struct {
  uint64_t start, measure, end, hard_end, period, next;
  uint64_t *due;
  size_t head, tail;
  int *idle, idle_count;
} Schedule;

static int any_busy(void) {
  int busy = 0;
  for (int i = 0; i < opt.conns; i++) busy += conns[i].busy;
  return busy;
}

/* Open loop: queues what is due and gives it to idle connections. */
static void dispatch(Schedule *s, uint64_t now) {
  for (; s->next <= now && s->next < s->end; s->next += s->period)
    if (s->tail - s->head < QUEUE) s->due[s->tail++ % QUEUE] = s->next;
  if (s->tail - s->head > queue_peak) queue_peak = s->tail - s->head;
  while (s->head < s->tail && s->idle_count) {
    Conn *c = &conns[s->idle[--s->idle_count]];
    fire(c, s->due[s->head++ % QUEUE]);
    if (!c->busy) {
      s->idle[s->idle_count++] = (int)(c - conns);
      break; /* not reachable: try again after the next wait */
    }
  }
}

static void run(Schedule *s) {
  struct epoll_event events[256];
  for (;;) {
    uint64_t now = now_ns();
    if (!measuring && now >= s->measure && now < s->end) {
      measuring = 1;
      s->measure = now;
    }
    if (s->period) dispatch(s, now);
    if (now >= s->end) { /* what is under way is finished, so that the mock and we have counted the same requests */
      if (!s->period) measuring = 0;
      if ((!any_busy() && s->head == s->tail) || now > s->hard_end) return;
    }
    uint64_t wait = s->period && s->next < s->end ? (s->next > now ? s->next - now : 0) : 5000000;
    struct timespec limit = {0, (long)(wait > 5000000 ? 5000000 : wait)};
    int n = epoll_pwait2(poller, events, 256, &limit, NULL);
    for (int i = 0; i < n; i++) {
      Conn *c = &conns[events[i].data.u32];
      if (c->fd < 0 || !on_readable(c)) continue;
      if (s->period)
        s->idle[s->idle_count++] = (int)(c - conns);
      else if (now_ns() < s->end)
        fire(c, now_ns());
    }
  }
}

static void read_options(int argc, char **argv) {
  static char required[128];
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(name, "--stream")) {
      opt.stream = 1;
      continue;
    }
    if (!strcmp(name, "--port")) opt.port = atoi(value);
    if (!strcmp(name, "--path")) opt.path = value;
    if (!strcmp(name, "--body")) opt.body = value;
    if (!strcmp(name, "--conns")) opt.conns = atoi(value);
    if (!strcmp(name, "--secs")) opt.secs = atof(value);
    if (!strcmp(name, "--warm")) opt.warm = atof(value);
    if (!strcmp(name, "--rate")) opt.rate = atof(value);
    if (!strcmp(name, "--keys")) opt.keys = atoi(value);
    if (!strcmp(name, "--run-steps")) opt.run_steps = atol(value);
    if (!strcmp(name, "--runs")) opt.runs = atol(value);
    if (!strcmp(name, "--require")) {
      snprintf(required, sizeof required, "\n%s:", value);
      opt.require = required;
    }
    i++;
  }
}

static Buffer read_body(void) {
  Buffer body = {0};
  FILE *file = opt.body ? fopen(opt.body, "rb") : NULL;
  if (!file) {
    fprintf(stderr, "load: no --body, or it cannot be read\n");
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  reserve(&body, (size_t)size);
  body.len = fread(body.data, 1, (size_t)size, file);
  fclose(file);
  return body;
}

static void print_result(double elapsed) {
  Samples *all[] = {&latency, &first_byte, &event_way};
  for (int i = 0; i < 3; i++)
    if (all[i]->n) qsort(all[i]->at, all[i]->n, sizeof(uint64_t), compare);
  printf("{\"ok\":%llu,\"errors\":%llu,\"connect_errors\":%llu,\"sent\":%llu,\"secs\":%.3f,\"per_second\":%.1f,"
         "\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"first_byte_p50\":%.1f,\"first_byte_p99\":%.1f,"
         "\"events\":%zu,\"event_p50\":%.1f,\"event_p99\":%.1f,\"queue_peak\":%llu,\"different\":%llu,\"digest\":\"%016llx\"}\n",
         (unsigned long long)ok, (unsigned long long)errors, (unsigned long long)connect_errors, (unsigned long long)sent, elapsed,
         (double)ok / elapsed, percentile(&latency, .5), percentile(&latency, .9), percentile(&latency, .99), percentile(&latency, 1),
         percentile(&first_byte, .5), percentile(&first_byte, .99), event_way.n, percentile(&event_way, .5), percentile(&event_way, .99),
         (unsigned long long)queue_peak, (unsigned long long)different, (unsigned long long)digest);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  Buffer body = read_body();
  unsigned token = (unsigned)(now_ns() / 1000) ^ ((unsigned)getpid() << 16);
  prctl(PR_SET_TIMERSLACK, 1000);
  poller = epoll_create1(0);
  conns = calloc((size_t)opt.conns, sizeof *conns);
  Schedule s = {.idle = calloc((size_t)opt.conns, sizeof(int)), .due = malloc(QUEUE * sizeof(uint64_t))};
  for (int i = 0; i < opt.conns; i++) {
    prepare(&conns[i], &body, token);
    if (open_connection(&conns[i])) return 2;
    s.idle[s.idle_count++] = i;
  }
  s.start = s.next = now_ns();
  s.measure = s.start + (uint64_t)(opt.warm * 1e9);
  s.end = s.measure + (uint64_t)(opt.secs * 1e9);
  s.hard_end = s.end + 3000000000ull;
  s.period = opt.rate > 0 ? (uint64_t)(1e9 / opt.rate) : 0;
  if (!s.period)
    for (int i = 0; i < opt.conns; i++) fire(&conns[i], now_ns());
  run(&s);
  print_result((double)(s.end - s.measure) / 1e9);
  return 0;
}
