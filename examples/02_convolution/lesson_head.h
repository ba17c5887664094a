#ifndef EXAMPLES_02_LESSON_HEAD_H
#define EXAMPLES_02_LESSON_HEAD_H

enum { SIDE = 160 };

/* A head of ten ellipses, x [SIDE,SIDE]: Shepp and Logan 1974, with the contrasts of Toft
 * 1996. */
void head(float *x);

#endif
