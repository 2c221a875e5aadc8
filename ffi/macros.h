/** Version of this file, and as one number: major * 10000 + minor * 100 + patch. That of the library is told by
 * cfgstore_version() and cfgstore_version_number(). */
#define CFGSTORE_VERSION "@VERSION@"
#define CFGSTORE_VERSION_NUMBER @VERSION_NUMBER@

/** The two arguments for a string literal: pointer and length. */
#define CFGSTORE_TEXT(literal) ("" literal), (sizeof(literal) - 1)

/** Options that ask for every default. */
#define CFGSTORE_OPTIONS_INIT                                                                                 \
  { sizeof(cfgstore_options_t), NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, 0, 0, 0, CFGSTORE_AUTOSTART_DEFAULT, 0, \
    NULL, 0 }
