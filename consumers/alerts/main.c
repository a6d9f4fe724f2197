/* tickbus-alerts: wiring only; see alerts.h. */
#include <consumers/alerts/alerts.h>

int main(int argc, char **argv)
{
    static struct alerts self;
    struct tb_service_ops ops = alerts_ops();
    return tb_service_main(&ops, &self, argc, argv);
}
