/* The Binance adapter: bytes that no venue should send. */
#include "unit/adapter_abuse.h"

/* ---- hostile bytes ---- */

static const char *const whole_frames[] = {
    "{'stream':'btcusdt@trade','data':{'e':'trade','E':1700000000123,'s':'BTCUSDT','t':7,'p':'"
    "61837.63','q':'0.02','T':1700000000122,'m':true,'M':true}}",
    "{'u':400900217,'s':'BTCUSDT','b':'25.35','B':'31.21','a':'25.36','A':'40.66'}",
    "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':157,'u':160,'b':[['0.0024','10']],'a':[['0.26','"
    "100'],['1','0']]}",
    "{'lastUpdateId':160,'bids':[['0.24','10']],'asks':[['0.26','100']]}",
};

static void frame_cut_at_any_byte_is_bad_and_publishes_nothing(void **state)
{
    (void)state;
    check_cut_frames(whole_frames, TB_COUNT(whole_frames));
}

static void renew(void)
{
    host.instrument_count = 0;
    a = make(false, false);
}

static void changed_bytes_never_crash(void **state)
{
    (void)state;
    change_each_byte(whole_frames, TB_COUNT(whole_frames), renew);
}

static void hostile_messages_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "garbage",
        "null",
        "[]",
        "{}{}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'1','q':'1','T':1,'m':true} x",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'1','q':'1','T':1}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':'1','p':'1','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':-1,'p':'1','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':99999999999999999999,'p':'1','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1.5,'p':'1','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'1','q':'1','T':9223372036854775807,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'-1','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'1','q':'NaN','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':1.5,'q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'','q':'1','T':1,'m':true}",
        "{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'1','q':'1','T':1,'m':'true'}",
        "{'e':7,'s':'BTCUSDT'}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':9,'u':8,'b':[],'a':[]}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'b':[['1']],'a':[]}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'b':[[1,2]],'a':[]}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'b':['1','2'],'a':[]}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'b':{},'a':[]}",
        "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'b':[['1','1e400']],'a':[]}",
        "{'u':1,'s':'BTCUSDT','b':'1','B':'1','a':'2'}",
        "{'u':1,'s':'BTCUSDT','b':'\xff\xfe','B':'1','a':'2','A':'1'}",
        "{'u':1,'s':'BTCUSDT','b':'1\xC0\x80','B':'1','a':'2','A':'1'}",
    };
    check_refused(texts, TB_COUNT(texts));
    assert_int_equal(trade(1, "1", "1", ""), 0); /* and it goes on */
}

static void deep_nesting_is_survived(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char *text = malloc(2 * DEEP + 8);
    assert_non_null(text);
    memcpy(text, "{'x':", 5);
    memset(text + 5, '[', DEEP);
    memset(text + 5 + DEEP, ']', DEEP);
    text[5 + 2 * DEEP] = '}';
    (void)frame_bytes(text, 6 + 2 * DEEP);
    (void)frame_bytes(text, 5 + DEEP);
    memset(text, '{', DEEP);
    assert_int_equal(frame_bytes(text, DEEP), -EBADMSG);
    free(text);
    assert_int_equal(host.count, 0);
}

static void too_many_levels_are_refused(void **state)
{
    (void)state;
    enum { LEVELS = 20000 };
    char *text = malloc(LEVELS * 16 + 128);
    assert_non_null(text);
    size_t used =
        (size_t)sprintf(text, "{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':8,'a':[],'b':[");
    for (int i = 0; i < LEVELS; i++)
        used += (size_t)sprintf(text + used, "%s['%d','1']", i == 0 ? "" : ",", i + 1);
    used += (size_t)sprintf(text + used, "]}");
    assert_int_equal(frame_bytes(text, used), -EBADMSG);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(frame_cut_at_any_byte_is_bad_and_publishes_nothing),
        T(changed_bytes_never_crash),
        T(hostile_messages_are_refused),
        T(deep_nesting_is_survived),
        T(too_many_levels_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
