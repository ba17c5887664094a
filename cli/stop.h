/* stop.h: SIGINT and SIGTERM as a flag that long work looks at; SIGPIPE ignored from then on.
 *
 * The first signal asks for a clean end; a second one kills.
 *
 * Calls: libc. Called by: verb_*.c.
 */
#ifndef ICH_CLI_STOP_H
#define ICH_CLI_STOP_H

const volatile int *ich_stop_flag(void); /* installs the handlers; 0 until a signal comes, then its number */
const char *ich_stop_name(void);         /* "SIGINT" */

#endif
