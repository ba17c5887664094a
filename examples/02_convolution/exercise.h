#ifndef EXAMPLES_02_EXERCISE_H
#define EXAMPLES_02_EXERCISE_H

/* x [h,w,c] -> columns [oh·ow, r·r·c], for a kernel of r × r, with stride and padding: row
 * i·ow + j holds, in the order row of the kernel, column of the kernel, channel, what output
 * pixel (i, j) reads. Pixels outside of the image are 0. */
void im2col(int h, int w, int c, int r, int stride, int pad, int oh, int ow, const float *x,
            float *columns);

/* F(2, 3), Winograd 1980: y0 = d0 g0 + d1 g1 + d2 g2 and y1 = d1 g0 + d2 g1 + d3 g2. Every
 * product of something made of d with something made of g goes through times(), at most four
 * times. (Halving g's sums is free: that is done once for a filter, not once for a pixel.) */
double times(double a, double b);
void winograd(const double d[4], const double g[3], double y[2]);

#endif
