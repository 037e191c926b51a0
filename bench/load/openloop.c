/* An open-loop load generator: requests are due at Poisson times whether or not earlier ones were answered, and each latency is
 * counted from the time it was due, so a server that stalls is charged for everybody who had to wait.
 *
 * openloop HOST PORT FILE RATE SECONDS WARMUP CONNECTIONS SEED [EXPECT]
 *
 * FILE holds whole HTTP/1.1 requests, each after its length as a little-endian uint32; they are sent in order, again from the
 * start when they run out. EXPECT counts the answers that contain it. Prints one line of JSON; latencies in microseconds.
 * One thread, epoll and a timerfd; about 15 us of CPU per request.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, BUFFER = 1 << 18, GRACE_S = 10 };

typedef struct { const char *bytes; uint32_t length; } Request;
typedef struct {
  int fd, busy;
  uint32_t sent, length, got;
  long request;   /* index of the request in flight */
  char *buffer;
} Connection;

static Request *requests;
static long n_requests, n_due, n_started, n_done, n_failed, n_expected, n_reconnects, by_class[6], n_shed, n_full;
static double *due, *latency;
static Connection connections[MAX_CONNECTIONS];
static int n_connections, epoll_fd, idle[MAX_CONNECTIONS], n_idle, first_idle; /* a ring: connections take turns */
static struct sockaddr_in address;
static const char *expected;
static double begun, warmup;
static uint64_t rng;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static double uniform(void) { /* xorshift64*, in (0, 1] */
  rng ^= rng >> 12, rng ^= rng << 25, rng ^= rng >> 27;
  return ((rng * 2685821657736338717ULL >> 11) + 1) * (1.0 / 9007199254740992.0);
}

static void rest(int c) { idle[(first_idle + n_idle++) % n_connections] = c; }

static int take(void) {
  int c = idle[first_idle];
  first_idle = (first_idle + 1) % n_connections, n_idle--;
  return c;
}

static void die(const char *what) { perror(what), exit(1); }

static void load(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die(path);
  uint32_t length;
  while (fread(&length, 4, 1, file) == 1) {
    char *bytes = malloc(length);
    if (fread(bytes, 1, length, file) != length) die("short request file");
    if ((n_requests & (n_requests - 1)) == 0) requests = realloc(requests, 2 * (n_requests + 1) * sizeof *requests);
    requests[n_requests++] = (Request){bytes, length};
  }
  fclose(file);
}

static void watch(int c, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.u32 = c};
  epoll_ctl(epoll_fd, operation, connections[c].fd, &event);
}

static void open_connection(int c) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  connections[c].fd = fd, connections[c].busy = 0;
  watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void finish(int c, int status, const char *body, uint32_t length) {
  Connection *con = &connections[c];
  double took = now_s() - due[con->request];
  int counts = due[con->request] - begun >= warmup;
  latency[con->request] = status >= 200 && status < 300 && counts ? took : -1;
  if (counts) {
    by_class[status >= 100 && status < 600 ? status / 100 : 0]++;
    n_shed += status == 429;
    n_expected += expected && memmem(body, length, expected, strlen(expected)) != NULL;
  }
  n_done++, con->busy = 0, rest(c);
}

static void reopen(int c) { /* the server closed it: what was in flight has failed */
  Connection *con = &connections[c];
  if (con->busy) {
    latency[con->request] = -1;
    n_failed += due[con->request] - begun >= warmup;
    n_done++, rest(c);
  }
  close(con->fd), n_reconnects++;
  open_connection(c);
}

static void push(int c) {
  Connection *con = &connections[c];
  Request *r = &requests[con->request % n_requests];
  while (con->sent < r->length) {
    ssize_t n = send(con->fd, r->bytes + con->sent, r->length - con->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    if (n < 0) return reopen(c);
    con->sent += n;
  }
}

static void start(int c, long request) {
  Connection *con = &connections[c];
  con->busy = 1, con->request = request, con->sent = con->got = con->length = 0;
  push(c);
}

static const char *header(const char *text, const char *end, const char *name) {
  size_t n = strlen(name);
  for (const char *line = text; line < end; line = memchr(line, '\n', end - line) + 1)
    if ((size_t)(end - line) > n && !strncasecmp(line, name, n)) return line + n;
  return NULL;
}

static void pull(int c) {
  Connection *con = &connections[c];
  for (;;) {
    ssize_t n = recv(con->fd, con->buffer + con->got, BUFFER - con->got, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !con->busy) return reopen(c);
    con->got += n;
    char *end = memmem(con->buffer, con->got, "\r\n\r\n", 4);
    if (!end) continue;
    const char *length = header(con->buffer, end + 2, "content-length:");
    uint32_t body = length ? strtoul(length, NULL, 10) : 0, head = end + 4 - con->buffer;
    if (head + body > BUFFER) { n_full++; return reopen(c); }
    if (con->got < head + body) continue;
    int closes = header(con->buffer, end + 2, "connection: close") != NULL;
    finish(c, atoi(con->buffer + 9), con->buffer + head, body);
    if (closes) reopen(c);
    return;
  }
}

static void dispatch(void) { /* whatever is due goes to whoever is idle, oldest first */
  double now = now_s();
  while (n_started < n_due && n_idle && due[n_started] <= now) start(take(), n_started++);
}

static int ascending(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

static void report(double offered, double seconds) {
  long n = 0;
  double total = 0;
  for (long i = 0; i < n_started; i++)
    if (latency[i] >= 0) total += latency[i], latency[n++] = latency[i];
  qsort(latency, n, sizeof *latency, ascending);
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  double shares[] = {.5, .9, .95, .99, .999, 1};
  const char *names[] = {"p50", "p90", "p95", "p99", "p999", "max"};
  printf("{\"offered_rps\": %.1f, \"seconds\": %.2f, \"ok\": %ld, \"shed\": %ld, \"failed\": %ld, \"unanswered\": %ld, \"reconnects\": %ld, \"expected\": %ld",
         offered, seconds, n, n_shed, n_failed + n_full, n_due - n_done, n_reconnects, n_expected);
  for (int k = 1; k < 6; k++) printf(", \"status_%dxx\": %ld", k, by_class[k]);
  printf(", \"mean_us\": %.1f", n ? 1e6 * total / n : 0);
  for (int k = 0; k < 6; k++) printf(", \"%s_us\": %.1f", names[k], n ? 1e6 * latency[(long)fmin(n - 1, floor(shares[k] * n))] : 0);
  printf(", \"generator_cpu_s\": %.3f}\n", cpu);
}

int main(int argc, char **argv) {
  if (argc < 9) return fprintf(stderr, "openloop HOST PORT FILE RATE SECONDS WARMUP CONNECTIONS SEED [EXPECT]\n"), 2;
  double rate = atof(argv[4]), seconds = atof(argv[5]);
  warmup = atof(argv[6]), n_connections = atoi(argv[7]), rng = strtoull(argv[8], NULL, 10) * 0x9E3779B97F4A7C15ULL + 1;
  expected = argc > 9 ? argv[9] : NULL;
  if (n_connections > MAX_CONNECTIONS) return fprintf(stderr, "at most %d connections\n", MAX_CONNECTIONS), 2;
  load(argv[3]);
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &address.sin_addr);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (int c = 0; c < n_connections; c++) connections[c].buffer = malloc(BUFFER), open_connection(c), rest(c);
  double span = warmup + seconds;
  due = malloc((size_t)(rate * span * 1.5 + 1000) * sizeof *due), latency = malloc((size_t)(rate * span * 1.5 + 1000) * sizeof *latency);
  begun = now_s() + 0.05;
  for (double t = -log(uniform()) / rate; t < span && n_due < (long)(rate * span * 1.5 + 1000); t -= log(uniform()) / rate) due[n_due++] = begun + t;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event tick = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, events[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &tick);
  while (n_done < n_due && now_s() < begun + span + GRACE_S) {
    double next = n_started < n_due && n_idle ? due[n_started] : now_s() + 0.1;
    struct itimerspec at = {.it_value = {(time_t)next, (long)((next - floor(next)) * 1e9)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    int n = epoll_wait(epoll_fd, events, 256, -1);
    for (int k = 0; k < n; k++) {
      uint64_t expirations;
      int c = events[k].data.u32;
      if (events[k].data.u32 == UINT32_MAX) { if (read(timer, &expirations, 8) < 0 && errno != EAGAIN) die("timer"); continue; }
      if (events[k].events & EPOLLOUT) watch(c, EPOLLIN, EPOLL_CTL_MOD), push(c);
      if (events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) pull(c);
    }
    dispatch();
  }
  report(rate, seconds);
  return 0;
}
