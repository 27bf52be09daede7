// Publishes to a partition of Laneway, or to a JetStream stream, as programs do
// that use the C client of NATS (libnats), and prints what it sees: a line per
// step with its name, status, JetStream error code, sequence and duplicate.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#define TOO_LARGE ((2 << 20) + 1)

static void die(const char *what, natsStatus s) {
    fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(s));
    nats_PrintLastErrorStack(stderr);
    exit(1);
}

static void must(const char *what, natsStatus s) {
    if (s != NATS_OK) {
        die(what, s);
    }
}

// A publish that waits for its answer.
typedef struct {
    const char *name;
    const char *subject;
    const char *data;
    int length;
    const char *id;
    const char *stream;
    uint64_t last_sequence;
    const char *last_id;
} step;

static void run(jsCtx *js, const step *s) {
    jsPubOptions options;
    jsPubAck *ack = NULL;
    jsErrCode code = 0;
    natsStatus status;

    jsPubOptions_Init(&options);
    options.MsgId = s->id;
    options.ExpectStream = s->stream;
    options.ExpectLastSeq = s->last_sequence;
    options.ExpectLastMsgId = s->last_id;
    status = js_Publish(&ack, js, s->subject, s->data, s->length, &options, &code);
    printf("%s\t%s\t%d\t%" PRIu64 "\t%d\n", s->name, natsStatus_GetText(status), (int)code,
           ack == NULL ? 0 : ack->Sequence, ack != NULL && ack->Duplicate);
    jsPubAck_Destroy(ack);
}

// What the answers of asynchronous publishes say. Answers come one at a time.
typedef struct {
    int acknowledged;
    int refused;
    int disorder; // sequences that are not above the one before
    uint64_t last;
    jsErrCode code; // of the last refusal
} outcomes;

static void answered(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *err, void *closure) {
    outcomes *o = closure;

    (void)js;
    if (ack != NULL) {
        o->acknowledged++;
        o->disorder += ack->Sequence <= o->last;
        o->last = ack->Sequence;
    } else {
        o->refused++;
        o->code = err->ErrCode;
    }
    natsMsg_Destroy(msg);
}

static void run_async(natsConnection *conn, const char *name, const char *subject, int count, const char *stream) {
    jsOptions options;
    jsPubOptions each, complete;
    jsCtx *js = NULL;
    outcomes o = {0};

    must("options", jsOptions_Init(&options));
    options.PublishAsync.MaxPending = 4000;
    options.PublishAsync.StallWait = 30000;
    options.PublishAsync.AckHandler = answered;
    options.PublishAsync.AckHandlerClosure = &o;
    must("JetStream", natsConnection_JetStream(&js, conn, &options));

    jsPubOptions_Init(&each);
    each.ExpectStream = stream;
    for (int n = 0; n < count; n++) {
        char data[32];
        int length = snprintf(data, sizeof(data), "record %d", n);
        must("publish", js_PublishAsync(js, subject, data, length, &each));
    }
    jsPubOptions_Init(&complete);
    complete.MaxWait = 30000;
    must("complete", js_PublishAsyncComplete(js, &complete));
    printf("%s\t%d acknowledged, %d refused, %d out of order\t%d\t%" PRIu64 "\t0\n", name, o.acknowledged, o.refused,
           o.disorder, (int)o.code, o.last);
    jsCtx_Destroy(js);
}

int main(int argc, char **argv) {
    natsConnection *conn = NULL;
    jsCtx *js = NULL;
    char *large;

    if (argc != 5) {
        fprintf(stderr, "usage: %s URL SUBJECT STREAM COUNT\n", argv[0]);
        return 2;
    }
    const char *subject = argv[2], *stream = argv[3];
    int count = atoi(argv[4]);

    must("connect", natsConnection_ConnectTo(&conn, argv[1]));
    must("JetStream", natsConnection_JetStream(&js, conn, NULL));
    large = calloc(1, TOO_LARGE);
    if (large == NULL) {
        die("memory", NATS_NO_MEMORY);
    }

    const step steps[] = {
        {.name = "plain", .subject = subject, .data = "plain", .length = 5},
        {.name = "right stream", .subject = subject, .data = "right", .length = 5, .stream = stream},
        {.name = "message id", .subject = subject, .data = "id", .length = 2, .id = "first"},
        {.name = "message id again", .subject = subject, .data = "id again", .length = 8, .id = "first"},
        {.name = "another stream", .subject = subject, .data = "wrong", .length = 5, .stream = "OTHER"},
        {.name = "another last sequence", .subject = subject, .data = "wrong", .length = 5, .last_sequence = 99},
        {.name = "last sequence", .subject = subject, .data = "expected", .length = 8, .last_sequence = 3},
        {.name = "another last id", .subject = subject, .data = "wrong", .length = 5, .last_id = "first"},
        {.name = "too large", .subject = subject, .data = large, .length = TOO_LARGE},
        {.name = "unknown topic", .subject = "laneway.produce.nothing.0", .data = "wrong", .length = 5},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        run(js, &steps[i]);
    }
    run_async(conn, "async to another stream", subject, 3, "OTHER");
    run_async(conn, "async", subject, count, stream);

    free(large);
    jsCtx_Destroy(js);
    natsConnection_Destroy(conn);
    nats_Close();
    return 0;
}
