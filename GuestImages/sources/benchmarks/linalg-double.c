// Dense linear algebra in double precision: factorisation with pivoting, solution, product and residual.
#include "../benchmark.h"
#include <math.h>

enum { side = 200 };
static double original[side][side], factors[side][side], product[side][side], vector[side], solution[side];
static int pivots[side];

static void factorise(void) {
    for (int k = 0; k < side; k++) {
        int best = k;
        for (int i = k + 1; i < side; i++)
            if (fabs(factors[i][k]) > fabs(factors[best][k])) best = i;
        pivots[k] = best;
        if (best != k)
            for (int j = 0; j < side; j++) {
                double kept = factors[k][j];
                factors[k][j] = factors[best][j];
                factors[best][j] = kept;
            }
        for (int i = k + 1; i < side; i++) {
            double ratio = factors[i][k] /= factors[k][k];
            for (int j = k + 1; j < side; j++) factors[i][j] -= ratio * factors[k][j];
        }
    }
}

static void solve(void) {
    memcpy(solution, vector, sizeof solution);
    for (int k = 0; k < side; k++) {
        double kept = solution[k];
        solution[k] = solution[pivots[k]];
        solution[pivots[k]] = kept;
    }
    for (int i = 0; i < side; i++)
        for (int j = 0; j < i; j++) solution[i] -= factors[i][j] * solution[j];
    for (int i = side - 1; i >= 0; i--) {
        for (int j = i + 1; j < side; j++) solution[i] -= factors[i][j] * solution[j];
        solution[i] /= factors[i][i];
    }
}

static double residual(void) {
    double worst = 0;
    for (int i = 0; i < side; i++) {
        double sum = -vector[i];
        for (int j = 0; j < side; j++) sum += original[i][j] * solution[j];
        if (fabs(sum) > worst) worst = fabs(sum);
    }
    return worst;
}

static void multiply(void) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            double sum = 0;
            for (int k = 0; k < side; k++) sum += original[i][k] * factors[k][j];
            product[i][j] = sum;
        }
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 60), seed = 123, sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < side; i++) {
            for (int j = 0; j < side; j++) original[i][j] = (double)(int32_t)random_next(&seed) / 2147483648.0;
            vector[i] = (double)(int32_t)random_next(&seed) / 65536.0;
        }
        memcpy(factors, original, sizeof factors);
        factorise();
        solve();
        double worst = residual();
        require(worst < 1e-4, "the residual is small");
        multiply();
        sum = fold_double(fold_double(sum, worst), product[(round * 7) % side][(round * 13) % side]);
        for (int i = 0; i < side; i++) sum = fold_double(sum, solution[i] + product[i][i]);
    }
    return report("linalg-double", sum);
}
