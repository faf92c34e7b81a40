/*
 * curve: the learning curves of a run as a picture: loss and accuracy over epochs, for training and validation, and the
 * final test. Everything is taken from the run's log, so a resumed run shows its whole history.
 */
#ifndef RVK_TRAIN_CURVE_H
#define RVK_TRAIN_CURVE_H

#include "base/status.h"

/*
 * Reads FOLDER/log.jsonl and replaces FOLDER/curve.svg. Without any epoch in the log nothing is written; a line that
 * is no JSON (the last one after a crash) is passed over. STATUS_DATA when there is no log, STATUS_IO, STATUS_MEMORY.
 */
CHECKED enum status curve_write(const char *folder);

#endif
