/* Preloaded, this says when one thread reads the process's environment while another one changes it, which glibc before
 * 2.41 does not survive: setenv moves the array that getenv walks through.
 *
 * As it stands this takes nanoseconds out of seconds, and a crash is seen once in some hundred runs. Here a thread that
 * reads stays inside for some milliseconds, with the array that it began with, so that whoever changes the environment
 * meets it. What is met is appended to the file that ENVIRON_RACE_LOG names, a line each:
 *
 *     PID setenv NAME in THREAD [frames] while getenv NAME in THREAD [frames]
 *
 * A process with one thread waits nowhere. All waits are bounded, also in sum, so that nothing hangs that would not
 * otherwise. glibc's own readers (time zones, host names) call a getenv that cannot be replaced: they are watched at
 * the functions that call it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 512
#define FRAMES 24
#define WAIT_MS 20
#define WAITS_PER_THREAD 300

extern char **environ;

enum { OUTSIDE, READS, WRITES };

/* What a thread is doing to the environment. Others look at it without a lock: what they print may be half-written,
 * that they met is not. */
struct slot {
    atomic_int doing;
    pid_t thread;
    const char *function;
    char name[80];
    void *frames[FRAMES];
    int n_frames;
};

static struct slot slots[SLOTS];
static atomic_int taken;
static _Thread_local struct slot *mine;
static _Thread_local int waits;
static _Thread_local int busy; /* what is called from in here reads the environment, too */

static void *original(const char *name) { return dlsym(RTLD_NEXT, name); }

static struct slot *own_slot(void) {
    if (!mine) {
        mine = &slots[atomic_fetch_add(&taken, 1) % SLOTS];
        mine->thread = gettid();
    }
    return mine;
}

static void print(char *line, size_t size, const char *format, ...) {
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, size - used, format, args);
    va_end(args);
}

static void print_slot(char *line, size_t size, const struct slot *slot) {
    print(line, size, "%s %s in %d [", slot->function, slot->name, (int)slot->thread);
    for (int at = 2; at < slot->n_frames; at++) {
        Dl_info info;
        if (!dladdr(slot->frames[at], &info) || !info.dli_fname) continue;
        const char *file = strrchr(info.dli_fname, '/');
        file = file ? file + 1 : info.dli_fname;
        print(line, size, "%s%s:%s", at > 2 ? " < " : "", file, info.dli_sname ? info.dli_sname : "?");
    }
    print(line, size, "]");
}

static void report(const struct slot *writer, const struct slot *reader) {
    const char *path = 0;
    for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, "ENVIRON_RACE_LOG=", 17)) path = *entry + 17;
    if (!path) return;
    char line[8192] = "";
    print(line, sizeof line, "%d ", (int)getpid());
    print_slot(line, sizeof line - 2, writer);
    print(line, sizeof line - 2, " while ");
    print_slot(line, sizeof line - 2, reader);
    strcat(line, "\n");
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) return;
    if (write(log, line, strlen(line)) < 0) abort();
    close(log);
}

static void enter(int doing, const char *function, const char *name) {
    struct slot *slot = own_slot();
    slot->function = function;
    snprintf(slot->name, sizeof slot->name, "%.*s", (int)strcspn(name, "="), name);
    slot->n_frames = backtrace(slot->frames, FRAMES);
    atomic_store(&slot->doing, doing);
    for (int at = 0; at < SLOTS; at++) {
        struct slot *other = &slots[at];
        int theirs = atomic_load(&other->doing);
        if (other == slot || theirs == OUTSIDE || (theirs == READS && doing == READS)) continue;
        report(doing == WRITES ? slot : other, doing == WRITES ? other : slot);
    }
}

static void leave(void) { atomic_store(&own_slot()->doing, OUTSIDE); }

static void stay(void) {
    if (waits++ >= WAITS_PER_THREAD) return;
    struct timespec wait = {0, WAIT_MS * 1000000L};
    nanosleep(&wait, 0);
}

/* As glibc does it, but with time between reading where the array is and walking through it. */
static char *slow_getenv(const char *name) {
    char **entry = environ;
    size_t length = strlen(name);
    stay();
    for (; entry && *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=') return *entry + length + 1;
    return 0;
}

/* The other threads are not in a child that was forked. */
static void forget_others(void) {
    for (int at = 0; at < SLOTS; at++) atomic_store(&slots[at].doing, OUTSIDE);
}

__attribute__((constructor)) static void begin(void) { pthread_atfork(0, 0, forget_others); }

static int is_watched(void) { return !__libc_single_threaded && !busy; }

static char *read_name(const char *function, const char *name) {
    if (!is_watched()) {
        char *(*plain)(const char *) = original(function);
        return plain(name);
    }
    busy = 1;
    enter(READS, function, name);
    char *value = slow_getenv(name);
    leave();
    busy = 0;
    return value;
}

char *getenv(const char *name) { return read_name("getenv", name); }
char *secure_getenv(const char *name) { return read_name("secure_getenv", name); }

/* A function that changes the environment. */
#define CHANGE(FUNCTION, NAME, CALL) \
    int watched = is_watched(); \
    if (watched) { \
        busy = 1; \
        enter(WRITES, FUNCTION, NAME); \
    } \
    int result = CALL; \
    if (watched) { \
        leave(); \
        busy = 0; \
    } \
    return result;

/* What one of glibc's own functions reads as it begins. */
static void read_by(const char *function, const char *name) {
    if (!is_watched()) return;
    busy = 1;
    enter(READS, function, name);
    stay();
    leave();
    busy = 0;
}

int setenv(const char *name, const char *value, int overwrite) {
    int (*plain)(const char *, const char *, int) = original("setenv");
    CHANGE("setenv", name, plain(name, value, overwrite))
}

int unsetenv(const char *name) {
    int (*plain)(const char *) = original("unsetenv");
    CHANGE("unsetenv", name, plain(name))
}

int putenv(char *text) {
    int (*plain)(char *) = original("putenv");
    CHANGE("putenv", text, plain(text))
}

int clearenv(void) {
    int (*plain)(void) = original("clearenv");
    CHANGE("clearenv", "", plain())
}

time_t mktime(struct tm *when) {
    time_t (*plain)(struct tm *) = original("mktime");
    read_by("mktime", "TZ");
    return plain(when);
}

struct tm *localtime(const time_t *when) {
    struct tm *(*plain)(const time_t *) = original("localtime");
    read_by("localtime", "TZ");
    return plain(when);
}

size_t strftime(char *text, size_t size, const char *format, const struct tm *when) {
    size_t (*plain)(char *, size_t, const char *, const struct tm *) = original("strftime");
    read_by("strftime", "TZ");
    return plain(text, size, format, when);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*plain)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = original("getaddrinfo");
    read_by("getaddrinfo", "LOCALDOMAIN");
    return plain(node, service, hints, found);
}
