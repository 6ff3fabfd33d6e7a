// Decoders that are loaded when the first file asks for them.
//
// A program that only reads JPEG then starts without libheif and its video codecs, and runs on machines that lack them.
// Headers are needed to build; where one is missing, its format is refused by name.
#pragma once

#include "internal.h"

typedef struct gic_function {
    const char *name;
    void **address;
} gic_function;

typedef struct gic_library {
    const char *format;         // for messages: "TIFF"
    const char *package;        // of Debian and Ubuntu
    const char *const *files;   // names to try, ended by NULL
    const gic_function *functions;  // ended by a NULL name
    bool (*accept)(void);       // whether the loaded version is the one compiled against; may be NULL
} gic_library;

// Loads the first of the files that has all functions and is accepted. Call it only once, through `pthread_once`.
bool gic_load_library(const gic_library *library);

// The error for a library that did not load.
gic_status gic_missing_library(const gic_library *library, gic_message *message);

// The error for a format whose header was missing when this was compiled.
gic_status gic_not_built(const char *format, const char *package, gic_message *message);
