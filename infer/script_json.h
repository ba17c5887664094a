/* script_json.h: JSON as it may stand inside an HTML script element, straight into a stream.
 *
 * Whatever a text holds, the element ends where it should: "<" is written as an escape, and bytes that are no
 * UTF-8 as U+FFFD.
 *
 * Calls: libc. Called by: report, report_pictures.
 */
#ifndef ICH_INFER_SCRIPT_JSON_H
#define ICH_INFER_SCRIPT_JSON_H

#include <stddef.h>
#include <stdio.h>

void ich_json_text(FILE *stream, const char *text);
void ich_json_real(FILE *stream, double value); /* four digits; null unless finite */
void ich_json_base64(FILE *stream, const unsigned char *bytes, size_t count); /* in quotes (RFC 4648) */

extern const char ich_base64_digits[65];

#endif
