#include "data/loader.h"

#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 256, MOST_SLOTS = 64 };

/* The buffers of one batch. */
struct slot {
    uint8_t *images;
    uint32_t *labels, *indices;
    uint32_t done; /* places that are filled */
};

struct loader {
    const struct dataset *data;
    uint32_t batch, slot_count, thread_count;
    size_t image_bytes;
    struct slot slots[MOST_SLOTS];
    pthread_t threads[THREADS];

    pthread_mutex_t lock; /* of everything below, but for what lies in the buffers */
    pthread_cond_t work, change;
    struct loader_pass pass;
    uint32_t next;     /* place that is taken next */
    uint32_t first;    /* batch of the pass that it began with */
    uint32_t returned; /* the batch that loader_next returns next; the one before is still the caller's */
    uint32_t busy;     /* threads at work */
    bool running, quit;
    enum status status; /* of a thread that could not go on */
    char message[512];
};

/* ---- one picture ---- */

static uint32_t number_at(const struct loader_pass *pass, uint32_t place) {
    return pass->order ? pass->order[place] : pass->first + place;
}

/* STATUS_DATA or STATUS_IO: the picture is broken, which is noted. */
static enum status try_picture(const struct loader *loader, const struct view *view, uint32_t index, uint8_t *out) {
    struct source *source = loader->data->source;
    if (source_is_broken(source, index))
        return STATUS_DATA;
    enum status status = view_picture(source, index, view, out);
    if (status == STATUS_DATA || status == STATUS_IO)
        source_note_broken(source, index, status_message());
    return status;
}

static bool is_broken(enum status status) {
    return status == STATUS_DATA || status == STATUS_IO;
}

/* Fills a place whose own picture is broken; *index becomes UINT32_MAX when nothing can stand in for it. */
static enum status replace(const struct loader *loader, const struct loader_pass *pass, uint32_t *index,
                           uint32_t *label, uint8_t *out) {
    uint32_t most = MIN(pass->stand_ins, loader->data->source->broken_limit + 1), other = *index;
    for (uint32_t tries = 0; tries < most; tries++) {
        other = (other + 1) % pass->stand_ins;
        enum status status = try_picture(loader, &pass->view, other, out);
        *label = loader->data->labels[other];
        if (!is_broken(status))
            return status;
    }
    *index = *label = UINT32_MAX;
    return STATUS_OK;
}

static enum status load(const struct loader *loader, const struct loader_pass *pass, uint32_t place) {
    const struct slot *slot = &loader->slots[place / loader->batch % loader->slot_count];
    uint32_t within = place % loader->batch, index = number_at(pass, place), label = loader->data->labels[index];
    uint8_t *out = slot->images + within * loader->image_bytes;
    enum status status = try_picture(loader, &pass->view, index, out);
    if (is_broken(status))
        status = replace(loader, pass, &index, &label, out);
    slot->labels[within] = label;
    slot->indices[within] = index;
    return status;
}

/* ---- threads ---- */

/* Whether there is a place to fill whose batch has a free buffer: one is the caller's. */
static bool has_work(const struct loader *loader) {
    uint32_t held = loader->returned > loader->first ? 1 : 0;
    return loader->running && loader->status == STATUS_OK && loader->next < loader->pass.count &&
           loader->next / loader->batch < loader->returned - held + loader->slot_count;
}

static void *work(void *context) {
    struct loader *loader = context;
    pthread_mutex_lock(&loader->lock);
    while (!loader->quit) {
        if (!has_work(loader)) {
            pthread_cond_wait(&loader->work, &loader->lock);
            continue;
        }
        uint32_t place = loader->next++;
        struct loader_pass pass = loader->pass;
        loader->busy++;
        pthread_mutex_unlock(&loader->lock);
        enum status status = load(loader, &pass, place);
        pthread_mutex_lock(&loader->lock);
        loader->busy--;
        loader->slots[place / loader->batch % loader->slot_count].done++;
        if (status != STATUS_OK && loader->status == STATUS_OK) {
            loader->status = status;
            snprintf(loader->message, sizeof loader->message, "%s", status_message());
        }
        pthread_cond_broadcast(&loader->change);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* As many as are asked for, or one for each processor. Signals are for the threads of the program. */
static enum status start_threads(struct loader *loader) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wanted = loader->data->source->threads ? loader->data->source->threads : (uint32_t)MAX(processors, 1);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    wanted = MIN(wanted, (uint32_t)THREADS);
    while (loader->thread_count < wanted &&
           pthread_create(&loader->threads[loader->thread_count], NULL, work, loader) == 0)
        loader->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return loader->thread_count ? STATUS_OK : fail(STATUS_MEMORY, "no thread could be started to decode pictures");
}

/* ---- setting up ---- */

static enum status make_slots(struct loader *loader) {
    for (uint32_t s = 0; s < loader->slot_count; s++) {
        struct slot *slot = &loader->slots[s];
        TRY(memory_zeroed(loader->batch, loader->image_bytes, &slot->images));
        TRY(memory_zeroed(loader->batch, sizeof *slot->labels, &slot->labels));
        TRY(memory_zeroed(loader->batch, sizeof *slot->indices, &slot->indices));
    }
    return STATUS_OK;
}

enum status loader_create(const struct dataset *data, uint32_t batch, uint32_t size, struct loader **out) {
    TRY(memory_zeroed(1, sizeof **out, out));
    struct loader *loader = *out;
    loader->data = data;
    loader->batch = batch;
    loader->image_bytes = (size_t)3 * size * size;
    /* The caller's, the one that is waited for, one ahead; more of small ones, so that all threads have work. */
    loader->slot_count = (uint32_t)MIN(3 + ceil_div(2 * THREADS, batch) / 8, MOST_SLOTS);
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->change, NULL);
    enum status status = make_slots(loader);
    if (status == STATUS_OK)
        status = start_threads(loader);
    if (status != STATUS_OK) {
        loader_destroy(loader);
        *out = NULL;
    }
    return status;
}

void loader_destroy(struct loader *loader) {
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->quit = true;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    for (uint32_t t = 0; t < loader->thread_count; t++)
        pthread_join(loader->threads[t], NULL);
    for (uint32_t s = 0; s < loader->slot_count; s++) {
        free(loader->slots[s].images);
        free(loader->slots[s].labels);
        free(loader->slots[s].indices);
    }
    pthread_cond_destroy(&loader->change);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

uint32_t loader_threads(const struct loader *loader) {
    return loader->thread_count;
}

/* ---- passes ---- */

void loader_stop(struct loader *loader) {
    pthread_mutex_lock(&loader->lock);
    loader->running = false;
    while (loader->busy)
        pthread_cond_wait(&loader->change, &loader->lock);
    pthread_mutex_unlock(&loader->lock);
}

void loader_start(struct loader *loader, const struct loader_pass *pass, uint32_t batch) {
    loader_stop(loader);
    pthread_mutex_lock(&loader->lock);
    loader->pass = *pass;
    loader->next = batch * loader->batch;
    loader->first = loader->returned = batch;
    loader->status = STATUS_OK;
    loader->running = true;
    for (uint32_t s = 0; s < loader->slot_count; s++)
        loader->slots[s].done = 0;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
}

uint32_t loader_at(const struct loader *loader) {
    return loader->running ? loader->returned : UINT32_MAX;
}

/* Images in the batch that is waited for; 0: there is none. */
static uint32_t next_count(const struct loader *loader) {
    uint64_t begin = (uint64_t)loader->returned * loader->batch;
    return !loader->running || begin >= loader->pass.count ? 0
                                                           : (uint32_t)MIN(loader->batch, loader->pass.count - begin);
}

static bool is_complete(const struct loader *loader) {
    return loader->status != STATUS_OK ||
           loader->slots[loader->returned % loader->slot_count].done >= next_count(loader);
}

bool loader_ready(struct loader *loader, uint64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t sum = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(sum / 1000000000);
    until.tv_nsec = (long)(sum % 1000000000);
    pthread_mutex_lock(&loader->lock);
    int late = 0;
    while (!is_complete(loader) && late == 0)
        late = pthread_cond_timedwait(&loader->change, &loader->lock, &until);
    bool ready = is_complete(loader);
    pthread_mutex_unlock(&loader->lock);
    return ready;
}

/* Waits; the buffer before becomes free. */
static enum status take(struct loader *loader, uint32_t *slot, uint32_t *count) {
    enum status status = STATUS_OK;
    pthread_mutex_lock(&loader->lock);
    while (!is_complete(loader))
        pthread_cond_wait(&loader->change, &loader->lock);
    *count = next_count(loader);
    *slot = loader->returned % loader->slot_count;
    if (loader->status != STATUS_OK)
        status = fail(loader->status, "%s", loader->message);
    else if (*count == 0)
        status = fail(STATUS_USAGE, "the pass over the pictures is at its end");
    else if (++loader->returned > loader->first + 1)
        loader->slots[(loader->returned - 2) % loader->slot_count].done = 0;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    return status;
}

enum status loader_next(struct loader *loader, struct loader_batch *out) {
    uint32_t s, count, first = loader->returned * loader->batch;
    TRY(take(loader, &s, &count));
    const struct slot *slot = &loader->slots[s];
    source_tell_uncached(loader->data->source);
    for (uint32_t i = 0; i < count; i++)
        TRY(source_tell_broken(loader->data->source, number_at(&loader->pass, first + i)));
    *out = (struct loader_batch){count, slot->images, slot->labels, slot->indices};
    return STATUS_OK;
}
