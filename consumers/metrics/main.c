/* tickbus-metrics: wiring only; see metrics.c. */
#include <consumers/metrics/metrics.h>

int main(int argc, char **argv)
{
    static struct metrics self;
    struct tb_service_ops ops = metrics_ops();
    return tb_service_main(&ops, &self, argc, argv);
}
