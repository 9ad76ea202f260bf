/* Stored passwords: forms that other programs made verify, all others are refused before any work,
 * and a refusal costs what a wrong password costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "identity/password.h"

#define HORSE "correct horse"
#define UMLAUTS "p\xc3\xa4ssw\xc3\xb6rd \xc2\xa3 \xe5\xaf\x86\xe7\xa0\x81"
#define TEN(c) c c c c c c c c c c
#define A71 TEN("a") TEN("a") TEN("a") TEN("a") TEN("a") TEN("a") TEN("a") "a"
#define A72 A71 "a"
#define A100 A71 TEN("a") TEN("a") "aaaaaaaaa"
#define Z50 TEN("z") TEN("z") TEN("z") TEN("z") TEN("z")
#define Z255 Z50 Z50 Z50 Z50 Z50 "zzzzz"
#define Y17 TEN("y") "yyyyyyy"
#define X16 TEN("x") "xxxxxx"

// clang-format off
/* Made with python3-bcrypt and htpasswd, the argon2 command, openssl passwd, python3's hashlib. */
static const struct vector {
    const char *stored, *plain;
} vectors[] = {
    {"$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2", HORSE},
    {"$2b$04$vfo./tKQif7cLLaC9Bgdu.JvztcD5M6uQbtpQw1/LIE3ELLeZ9U0u", A72},
    {"$2a$04$GwJQGrwsMefoH7QyD0YVvu1pdk.lI.be/XlOnPfcNzXwgJbZwXZP6", "U*U"},
    {"$2b$04$.AAbI9fIF89tLn0.3NDH6OLQK3mkfezKvxLBTeuuNLFtkkCFUgzqy", "U*U"},
    {"$2y$04$9MMOCINK.94p6MvzzjspKuqqJ8pYR5uuj.JthjLdTigwhkMgZpYvq", "U*U"},
    {"$2a$04$uD/ROzEEm0kou5TKdKgCsuqSsdHaHyVI7r9e6eJeOENzpqDhxD5V2", HORSE},
    {"$2y$04$S2m5j/MU5itdzAb120RYhO2w58bvdimtkw.jS.2hbAk7iMT23E.tW", HORSE},
    {"$2a$04$iw9UCCIqtNk6R/sy/hdaHevVaWIBbiP.peiCo9TQ./L/KwXuqt4Pq", UMLAUTS},
    {"$2b$04$lDpYQVtQWKwZAuo2Mp6AwOxWr3foJMJ/jyC7E0q4.QDIw6Elbu6Iu", UMLAUTS},
    {"$2y$04$.9ACsM3IDgMC5Tw0QtRJFebbW6nNZ/NXb3KJV8uZdoF2fmtCidQAq", UMLAUTS},
    {"$2a$04$v2oL5Wjvgw/JbTCZFToPnuTGq0Ww.Z6H7B0EcmtyobpN4Jlb2T/Hm", "\xff\xa3\x80" "latin"},
    {"$2b$04$0Mipl1rV2rfpPkJ/5HtvIOp02ZxQ3Fb/DJY7mOmFoxdz38ATle8EK", "\xff\xa3\x80" "latin"},
    {"$2y$04$81N8XIf3i77FheuXLvTipu1AlX2xQEnSvjeQeuk99UCIqzGAMQnbG", "\xff\xa3\x80" "latin"},
    {"$2a$04$I9NPloCFR1CX4yIIYpjNMOZb7.NVqIN.mO1FlgsLtK5Z3BoMlcjxe", "a"},
    {"$2b$04$O/9VhlMTlmHKDX3rJUrTt.sifoVd4Adr7PYvbyMNo1AUAudKkP9cK", "a"},
    {"$2y$04$d8QyxIDV07dBZF2v5Q2sM.zPEqwoB7tg7s/I0RsgGKGKc26H0v2C6", "a"},
    {"$2a$04$vk9BCMQ2Gyx1vl9y31WAQuVkifHH6rprjXO4Ld6BIE4QUMOoIcsWG", A71},
    {"$2b$04$dyZtuhmtW8F4S0W8JpCzruWEtm4K.G7DMaTNSit2v/0YaU8ebvx/u", A71},
    {"$2y$04$bdovN0cCTTBNOY68IKjqqOdw2/pPpSFsKYxQ.0za4nmodC8fC1CcW", A71},
    {"$2a$04$B.x/IAOqM4g1dyqwr6.STOv4FDy8X/Z.4gdAVek3nuAHZkgYZ.BPC", A72},
    {"$2y$04$/wvP7H17QRB3bu6Ra7hRj.TlQ2KIspofVZxM8gdhfTyLIeF9ogV..", A72},
    {"$2a$04$Z3XFZeOIRm.OiJzooqmuPeX05TyPLXM0Z8vOWlmegX376bQldv3re", " spaced "},
    {"$2b$04$0AFovNeF05eUttfMAM7OuuwPr4cykhdInRSGjl3gDxHi.zau8jSWi", " spaced "},
    {"$2y$04$4.IJCt39m/GxGhy5.HpuzuU2m2GREcZGLtELHVHBDNj3inEI8sQ6.", " spaced "},
    {"$2a$04$MSy85hIixRxec2EI7b/lDuvISZcL9im3woU/P/ohQ1WRqnzyV0M..", "pa:ss:word"},
    {"$2b$04$Zi0KXwLQL7XBOMdMKfKWzOP2t/dQAXNkZevSCmZwCFwjCqVhXNucu", "pa:ss:word"},
    {"$2y$04$uw..EKVwfG4vTXorpVWzB.ON/SuJGnw/tYEBPerEcQYdij3XUeHRq", "pa:ss:word"},
    {"$2b$06$h7aFBVj7DOkyXPADZ42OSudI4vSLCnNn9fl.oInBKjRJo1Tl18edC", HORSE},
    {"$2y$05$XFdCpvv/ZByyEXa4fYHml.fnBCZx884eCa3jUkBum0JyGlBlE2KIy", HORSE},
    {"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4", HORSE},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", HORSE},
    {"$argon2id$v=19$m=1024,t=1,p=4$c2FsdHNhbHRzYWx0$Vi0l03zO+FSA4ZLaWiyLNljkGLgKZZcgpiRXtVzeRdI", HORSE},
    {"$argon2id$v=19$m=256,t=2,p=2$c2FsdHNhbHRzYWx0$yKShzAEItBEUlYWiZ33juTPfBsKr+IljZlE/uKXEKkI", UMLAUTS},
    {"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$89RED3FBzTWfO4jh7cBxE9AfpJbaelr9JDMMcDoibD8", A100},
    {"$apr1$saltsalt$OEnK0QmmvoDzFw9W2yFYT/", "a"},
    {"$apr1$s$EpqI6uEp3OR4bun9kSXHW/", "a"},
    {"$5$saltstring$7cz4bTeQ7MnNssphNhFVrITtuJYY/1tdvLL2uzLvOk8", "a"},
    {"$6$saltstring.././1$VtEo3CiRPEBszOKtGljRsSLu1cF6Z3t59H50G2xZQnC3evBXG0tVkDd7.ogTLNnlXNxQnHQeRIs8MVBhT0v19.", "a"},
    {"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/", HORSE},
    {"$apr1$s$4YQdzbDBOMvW2e..VRj0f1", HORSE},
    {"$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", HORSE},
    {"$6$saltstring.././1$TnwXf58KeLZGP5JLTl420151mdrdJBWTwzHx.ABnCKpEfFoKD6t/Lc8eGuipFM8GccugVk4DxvNnbz285KC53.", HORSE},
    {"$apr1$saltsalt$ZgfwSCcRr6vApOwKUCU0O.", X16},
    {"$apr1$s$tGyojr2hKrz9wPUD.f7930", X16},
    {"$5$saltstring$PnY4onZGagLyW213BU5bL91glc1YigDXgoBe48NHVr1", X16},
    {"$6$saltstring.././1$JiB3V1ucWSQPcyxWuDrjiAUqRSmWUosr.fCHI.BH0pKabT/aPghnEdG3LPs4E/k6hkI3aS3PQYEhGtNj9C1r91", X16},
    {"$apr1$saltsalt$qGGFGlxuXWGBEBQBYxU.e.", Y17},
    {"$apr1$s$QTa0iVg.dsL8QfnEv.MaB/", Y17},
    {"$5$saltstring$6o.X/GUhtgNQPLXzeap2r8HrVHpfhWEz6XLWht5zFr7", Y17},
    {"$6$saltstring.././1$3rFQEDpF5nGqiEFUJOHgEKGPA8E0j5dyT/ObLjwaVfFmKJKlQbH50WoyJIuA299sOuNmXgWM3AMpcpz6R1rzR.", Y17},
    {"$apr1$saltsalt$48TEDueQs4Q3PT5tVzP5F0", "0123456789abcdef0123456789abcdefZ"},
    {"$apr1$s$E45jdmEfjAnKBwkdd8OFC0", "0123456789abcdef0123456789abcdefZ"},
    {"$5$saltstring$VERR6/nwW4hYLgIGMO2X34RQuxVhiz2awmk3DGjfYZ/", "0123456789abcdef0123456789abcdefZ"},
    {"$6$saltstring.././1$.y8AUzrfoJ8RZe0arg7yqLWRlMIPwAQuLs4BXH5/RxSDWP0m2pGtKqCqT1GUQ3qSnqPDxKjU.691GFDVAQozo0", "0123456789abcdef0123456789abcdefZ"},
    {"$apr1$saltsalt$YGcVC/TJVd/DtQKY4qxXP/", UMLAUTS},
    {"$apr1$s$MXsIMj03ghf59M5836v9J/", UMLAUTS},
    {"$5$saltstring$4EqTOwappfED6NG2R3BGjkOiIWAS.rMkjuLvHJ1Y8H2", UMLAUTS},
    {"$6$saltstring.././1$gllLZJALCfM3fMaKe6Q0qW4N.sBCBCx6Y8aTaiJDHW2hx5vKaFz5btOdxLYzw9JpgmfLbPZh.09hJdpVUyroZ/", UMLAUTS},
    {"$apr1$saltsalt$16ar.EMf6Ttayj7zSf64d0", Z255},
    {"$apr1$s$mf0M05u6LXcvLiApNyYVt1", Z255},
    {"$5$saltstring$ADOYU/W/VdiSHwrU9thYoocxRoLWCIZAAUVQlq/x7Y2", Z255},
    {"$6$saltstring.././1$i0O8TDr1IvPe7N4Aacbx4h2nIaAyDHk3L4wcFSP4IzV5rsZiHdwXeWgL1XVFKcfVEHoYvZxYtxWgyOqjGGWqr1", Z255},
    {"$5$rounds=1000$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2", HORSE},
    {"$6$rounds=1400$ZjaQMI22TKptJHh2$JDJX5n1WCCOWeCA4aSYnWmukMrTuFj7fqkpfblBOSHLZue.jgd8RVmM1Y6uIhvmV6capWdpx/ZNxeaoJA81w71", HORSE},
    {"$apr1$2O8jztGB$GciUoca.i7fTbs3cJXEi9/", HORSE},
    {"{SHA}hvfkN/qlp/zhXR3cuerq6jd2Z7g=", "a"},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", HORSE},
    {"{SHA}prHcd6SWKEXChKN8u9Gc6l09Hig=", UMLAUTS},
    {"{SHA}2QVIQE4vKCR9RBM6bBiLMDC6i/o=", Z255},
};

/* Refused whatever the password; the first part is no scheme of ours, or none outside htpasswd. */
static const struct {
    const char *stored;
    enum err expected;
} refused[] = {
    {"",                                       ERR_UNSUPPORTED},
    {"correct horse",                          ERR_UNSUPPORTED}, /* plain text */
    {"{PLAIN}correct horse",                   ERR_UNSUPPORTED},
    {"{SSHA}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ERR_UNSUPPORTED},
    {"{sha}L55TUjtiq8FBorTWAZ0jy6g129A=",      ERR_UNSUPPORTED},
    {"7iyRauk9OXKKg",                          ERR_UNSUPPORTED}, /* DES */
    {"_J9..saltHHHHHHHHHHH",                   ERR_UNSUPPORTED}, /* BSDi's DES */
    {"$1$saltsalt$xxxxxxxxxxxxxxxxxxxxxx",     ERR_UNSUPPORTED},
    {"$2$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_UNSUPPORTED},
    {"$2x$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq", ERR_UNSUPPORTED},
    {"$3$$8846f7eaee8fb117ad06bdd830b7586c",   ERR_UNSUPPORTED}, /* NT */
    {"$7$",                                    ERR_UNSUPPORTED},
    {"$y$j9T$saltsalt$xxxx",                   ERR_UNSUPPORTED},
    {"$argon2i$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_UNSUPPORTED},
    {" $2b$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq", ERR_UNSUPPORTED},
    {"*0",                                     ERR_UNSUPPORTED},
    {"!",                                      ERR_UNSUPPORTED},

    {"$2b$",                                                          ERR_SYNTAX},
    {"$2b$4$e845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEqx.",  ERR_SYNTAX},
    {"$2b$+4$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_SYNTAX},
    {"$2b$ 4$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_SYNTAX},
    {"$2b$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meE",   ERR_SYNTAX},
    {"$2b$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEqq", ERR_SYNTAX},
    {"$2b$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meE\n", ERR_SYNTAX},
    {"$2b$04$ge845V/kuimPxpFE9mep$uXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_SYNTAX},
    {"$2b$04$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meE:",  ERR_SYNTAX},
    {"$2b$03$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_RANGE},
    {"$2b$00$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_RANGE},
    {"$2b$16$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_RANGE},
    {"$2y$31$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_RANGE},
    {"$2a$99$ge845V/kuimPxpFE9mepluXVucM5SiTm8in70gZhKv/VUKt9/meEq",  ERR_RANGE},

    {"$5$",                                                                ERR_SYNTAX},
    {"$5$saltstring",                                                      ERR_SYNTAX},
    {"$5$$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",                    ERR_SYNTAX},
    {"$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqE",           ERR_SYNTAX},
    {"$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqECC",         ERR_SYNTAX},
    {"$5$salt string$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",         ERR_SYNTAX},
    {"$5$saltstringsaltst1$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",   ERR_SYNTAX},
    {"$5$rounds=$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",  ERR_SYNTAX},
    {"$5$rounds=01000$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",   ERR_SYNTAX},
    {"$5$rounds=-1000$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",   ERR_SYNTAX},
    {"$5$rounds=1e4$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",     ERR_SYNTAX},
    {"$5$rounds=99999999999999999999$s$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", ERR_SYNTAX},
    {"$5$rounds=999$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",     ERR_RANGE},
    {"$5$rounds=0$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",       ERR_RANGE},
    {"$5$rounds=1000001$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", ERR_RANGE},
    {"$6$rounds=999999999$salt$" A71 "aaaaaaaaaaaaaaa",                    ERR_RANGE},
    {"$6$rounds=4294967295$salt$" A71 "aaaaaaaaaaaaaaa",                   ERR_RANGE},
    {"$6$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",                ERR_SYNTAX},

    {"$argon2id$",                                                                        ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ",                                           ERR_SYNTAX},
    {"$argon2id$v=16$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE",      ERR_SYNTAX},
    {"$argon2id$v=19$t=3,m=64,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=064,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=-3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1,keyid=YQ$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbH$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE",  ERR_SYNTAX}, /* 7 bytes of salt */
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9Edgn",                        ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ=$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ_rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE" TEN("A") TEN("A") TEN("A") TEN("A") "AAAA", ERR_SYNTAX},
    {"$argon2id$v=19$m=99999999999,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_SYNTAX},
    {"$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE}, /* 4 GiB */
    {"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=131073,t=1,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=131072,t=5,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=64,t=4294967295,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=64,t=3,p=0$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=0,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE",  ERR_RANGE},
    {"$argon2id$v=19$m=64,t=3,p=9$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},
    {"$argon2id$v=19$m=1024,t=3,p=17$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", ERR_RANGE},

    {"$apr1$",                                    ERR_SYNTAX},
    {"$apr1$saltsalt",                            ERR_SYNTAX},
    {"$apr1$$EGVZDNN6gOqijy.tv9axG/",             ERR_SYNTAX},
    {"$apr1$saltsalts$EGVZDNN6gOqijy.tv9axG/",    ERR_SYNTAX},
    {"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG",      ERR_SYNTAX},
    {"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG//",    ERR_SYNTAX},
    {"$apr1$salt-alt$EGVZDNN6gOqijy.tv9axG/",     ERR_SYNTAX},
    {"{SHA}",                                     ERR_SYNTAX},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129A",          ERR_SYNTAX},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129A==",        ERR_SYNTAX},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129AA",         ERR_SYNTAX},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129.=",         ERR_SYNTAX},
    {"{SHA}L55TUjtiq8FBorTWAZ0jy6g1=9A=",         ERR_SYNTAX},
};
// clang-format on

static enum err verify(const char *stored, const char *plain)
{
    return password_verify(slice_of(stored), slice_of(plain), PASSWORD_OF_HTPASSWD);
}

static void what_other_programs_stored_verifies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        if (verify(vectors[i].stored, vectors[i].plain) != OK)
            fail_msg("%s is not %s", vectors[i].stored, vectors[i].plain);
        assert_int_equal(password_check_stored(slice_of(vectors[i].stored), PASSWORD_OF_HTPASSWD),
                         OK);
    }
}

static void another_password_is_denied(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        char plain[PASSWORD_BYTES_MAX] = "";
        size_t len = strlen(vectors[i].plain);
        memcpy(plain, vectors[i].plain, len);
        plain[len - 1] ^= 1;
        assert_int_equal(verify(vectors[i].stored, plain), ERR_DENIED);
        plain[len - 1] ^= 1;
        if (len > 1)
            assert_int_equal(password_verify(slice_of(vectors[i].stored),
                                             slice_make(plain, len - 1), PASSWORD_OF_HTPASSWD),
                             ERR_DENIED);
        plain[len] = '\n';
        assert_int_not_equal(verify(vectors[i].stored, plain), OK);
    }
}

/* No second spelling of a stored form opens it: bits that a decoder drops, another prefix. */
static void a_changed_form_never_verifies(void **state)
{
    (void)state;
    static const char *const stored[] = {
        "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2",
        "$5$rounds=1000$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2",
        "$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE",
        "$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/",
        "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
    };
    for (size_t i = 0; i < COUNT_OF(stored); i++) {
        size_t len = strlen(stored[i]), digest = len > 60 ? len - 8 : len - 4;
        assert_int_equal(verify(stored[i], HORSE), OK);
        for (size_t at = digest; at < len; at++)
            for (int byte = 0; byte < 128; byte++) {
                char changed[PASSWORD_STORED_SIZE];
                memcpy(changed, stored[i], len);
                changed[at] = (char)byte;
                struct slice form = slice_make(changed, len);
                /* Those that cannot be a form at all are the other table's, and cost our time. */
                if (byte == stored[i][at] ||
                    password_check_stored(form, PASSWORD_OF_HTPASSWD) != OK)
                    continue;
                assert_int_equal(password_verify(form, SLICE(HORSE), PASSWORD_OF_HTPASSWD),
                                 ERR_DENIED);
            }
    }
}

static void forms_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct slice stored = slice_of(refused[i].stored);
        enum err err = password_check_stored(stored, PASSWORD_OF_HTPASSWD);
        if (err != refused[i].expected)
            fail_msg("%s: %s", refused[i].stored, err_name(err));
        if (err == ERR_RANGE || i % 8 == 0) /* each costs what a wrong password costs */
            assert_int_equal(password_verify(stored, SLICE(HORSE), PASSWORD_OF_HTPASSWD), err);
        assert_false(password_wants_upgrade(stored));
    }
    /* Cut anywhere, with a NUL anywhere: no way around the checks. */
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        for (size_t len = 0; len < strlen(vectors[i].stored); len++) {
            char broken[PASSWORD_STORED_SIZE];
            memcpy(broken, vectors[i].stored, strlen(vectors[i].stored));
            struct slice cut = slice_make(broken, len), whole = slice_of(vectors[i].stored);
            whole.ptr = broken;
            if (vectors[i].stored[1] != 'a' || len < 60) /* Argon2's digests have several lengths */
                assert_int_not_equal(password_check_stored(cut, PASSWORD_OF_HTPASSWD), OK);
            broken[len] = '\0';
            assert_int_not_equal(password_check_stored(whole, PASSWORD_OF_HTPASSWD), OK);
        }
}

static void weak_forms_are_for_htpasswd_files_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct slice stored = slice_of(vectors[i].stored);
        bool weak = slice_starts(stored, SLICE("$apr1$")) || slice_starts(stored, SLICE("{SHA}"));
        assert_int_equal(password_is_weak(stored), weak);
        assert_int_equal(password_check_stored(stored, PASSWORD_OF_ACCOUNT),
                         weak ? ERR_UNSUPPORTED : OK);
        if (weak)
            assert_int_equal(
                password_verify(stored, slice_of(vectors[i].plain), PASSWORD_OF_ACCOUNT),
                ERR_UNSUPPORTED);
    }
}

static void bytes_that_bcrypt_does_not_read_are_refused_not_dropped(void **state)
{
    (void)state;
    static const char stored[] = "$2b$04$vfo./tKQif7cLLaC9Bgdu.JvztcD5M6uQbtpQw1/LIE3ELLeZ9U0u";
    char made[PASSWORD_STORED_SIZE];
    assert_int_equal(verify(stored, A72), OK);
    assert_int_equal(verify(stored, A72 "x"), ERR_LIMIT);
    assert_int_equal(verify(stored, A72 "y"), ERR_LIMIT);
    assert_int_equal(password_hash_bcrypt(SLICE(A72 "x"), made), ERR_LIMIT);
    assert_int_equal(password_hash_bcrypt(SLICE(A72), made), OK);
    assert_int_equal(verify(made, A72), OK);
    assert_int_equal(verify(made, A71), ERR_DENIED);
}

static void what_cannot_be_a_password_is_refused(void **state)
{
    (void)state;
    static char long_one[PASSWORD_BYTES_MAX + 1];
    memset(long_one, 'a', sizeof long_one);
    const struct slice none = {0}, full = slice_make(long_one, PASSWORD_BYTES_MAX),
                       over = slice_make(long_one, PASSWORD_BYTES_MAX + 1);
    // clang-format off
    const struct {
        struct slice plain;
        enum err expected;
    } cases[] = {
        {none,                                      ERR_LIMIT },
        {SLICE(""),                                ERR_LIMIT },
        {SLICE("\0"),                              ERR_LIMIT },
        {SLICE(HORSE "\0"),                        ERR_LIMIT },
        {SLICE(HORSE "\0x"),                       ERR_LIMIT },
        {SLICE("\0" HORSE),                        ERR_LIMIT },
        {over,       ERR_LIMIT },
        {slice_make(long_one, 64 << 20),     ERR_LIMIT }, /* the length alone decides */
        {full,           ERR_DENIED},
        {SLICE(HORSE),                             OK        },
    };
    // clang-format on
    static const char stored[] =
        "$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE";
    char made[PASSWORD_STORED_SIZE];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum err expected = cases[i].expected;
        assert_int_equal(password_verify(slice_of(stored), cases[i].plain, PASSWORD_OF_ACCOUNT),
                         expected);
        if (expected != ERR_LIMIT)
            expected = ERR_DENIED;
        assert_int_equal(password_verify_nobody((struct slice){0}, cases[i].plain), expected);
        assert_int_equal(password_verify_nobody(slice_of(stored), cases[i].plain), expected);
        assert_int_equal(password_hash_again(cases[i].plain, made),
                         expected == ERR_LIMIT ? ERR_LIMIT : OK);
    }
    /* What the other schemes' own programs take at most. */
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        if (slice_equal(slice_of(vectors[i].plain), SLICE(Z255)))
            assert_int_equal(verify(vectors[i].stored, Z255 "z"), ERR_LIMIT);
}

static void a_new_password_is_checked(void **state)
{
    (void)state;
    static char long_one[PASSWORD_BYTES_MAX + 1];
    memset(long_one, 'a', sizeof long_one);
    const struct slice none = {0}, full = slice_make(long_one, PASSWORD_BYTES_MAX),
                       over = slice_make(long_one, PASSWORD_BYTES_MAX + 1);
    // clang-format off
    const struct {
        struct slice plain;
        enum err expected;
    } cases[] = {
        {SLICE("12345678"),                                         OK        },
        {SLICE("1234567"),                                          ERR_RANGE },
        {none,                                                       ERR_RANGE },
        {SLICE("        "),                                         OK        }, /* no rules of composition */
        {SLICE("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f" "abc"),           ERR_RANGE }, /* 11 bytes, 7 characters */
        {SLICE("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f" "abcd"),          OK        },
        {SLICE("\xe5\xaf\x86\xe7\xa0\x81"),                         ERR_RANGE },
        {SLICE("12345678\0"),                                       ERR_SYNTAX},
        {SLICE("12345678\n"),                                       ERR_SYNTAX},
        {SLICE("1234\t5678"),                                       ERR_SYNTAX},
        {SLICE("1234\x7f" "5678"),                                  ERR_SYNTAX},
        {SLICE("1234567\xe4"),                                      ERR_SYNTAX}, /* Latin-1 */
        {SLICE("1234567\xc0\x80"),                                  ERR_SYNTAX},
        {SLICE("1234567\xc2\x85"),                                  ERR_SYNTAX}, /* a control character of C1 */
        {full,                            OK        },
        {over,                        ERR_LIMIT },
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char stored[PASSWORD_STORED_SIZE];
        assert_int_equal(password_check_new(cases[i].plain), cases[i].expected);
        assert_int_equal(password_hash_new(cases[i].plain, stored), cases[i].expected);
        if (cases[i].expected == OK)
            assert_int_equal(password_verify(slice_of(stored), cases[i].plain, PASSWORD_OF_ACCOUNT),
                             OK);
        else
            assert_int_equal(password_hash_bcrypt(cases[i].plain, stored), cases[i].expected);
    }
}

static void new_forms_are_of_the_current_scheme_and_never_the_same(void **state)
{
    (void)state;
    static const char head[] = "$argon2id$v=19$m=19456,t=2,p=1$";
    char first[PASSWORD_STORED_SIZE], second[PASSWORD_STORED_SIZE];
    assert_int_equal(password_hash_new(SLICE(HORSE), first), OK);
    assert_int_equal(password_hash_again(SLICE(HORSE), second), OK);
    assert_memory_equal(first, head, strlen(head));
    assert_memory_equal(second, head, strlen(head));
    assert_string_not_equal(first, second);
    assert_false(password_wants_upgrade(slice_of(first)));
    assert_int_equal(verify(first, HORSE), OK);
    assert_int_equal(verify(second, HORSE), OK);
    assert_int_equal(verify(second, HORSE "s"), ERR_DENIED);
    /* A password that was good enough before the rules may go on. */
    assert_int_equal(password_hash_again(SLICE("short"), second), OK);
    assert_int_equal(verify(second, "short"), OK);

    assert_int_equal(password_hash_bcrypt(SLICE(HORSE), first), OK);
    assert_int_equal(password_hash_bcrypt(SLICE(HORSE), second), OK);
    assert_memory_equal(first, "$2y$12$", 7);
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 60);
    assert_int_equal(verify(first, HORSE), OK);
    assert_string_equal(password_scheme_name(slice_of(first)), "bcrypt");
}

static void older_forms_want_an_upgrade(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *stored;
        bool wants;
    } cases[] = {
        {"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", false},
        {"$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", false},
        {"$argon2id$v=19$m=131072,t=4,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", false},
        {"$argon2id$v=19$m=19455,t=2,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", true},
        {"$argon2id$v=19$m=65536,t=1,p=1$c2FsdHNhbHQ$dlzfSRzkZ+rcq2U9EdgnEA3dvyfxTGpzCVFg1F179GE", true},
        {"$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2", true},
        {"$2b$15$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2", true},
        {"$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", true},
        {"$5$rounds=1000000$salt$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC", true},
        {"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/", true},
        {"{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", true},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(password_check_stored(slice_of(cases[i].stored), PASSWORD_OF_HTPASSWD),
                         OK);
        if (password_wants_upgrade(slice_of(cases[i].stored)) != cases[i].wants)
            fail_msg("%s", cases[i].stored);
    }
}

/* The processor time of this thread, which other programs on the machine do not lengthen; the least
 * of three. */
static uint64_t cost_us(struct slice stored, struct slice plain, bool nobody)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        struct timespec from, to;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        enum err err = nobody ? password_verify_nobody(stored, plain)
                              : password_verify(stored, plain, PASSWORD_OF_HTPASSWD);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        assert_int_not_equal(err, OK);
        uint64_t took = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000 +
                        (uint64_t)(to.tv_nsec / 1000) - (uint64_t)(from.tv_nsec / 1000);
        least = took < least ? took : least;
    }
    return least;
}

static void nobody_and_a_broken_form_cost_what_a_wrong_password_costs(void **state)
{
    (void)state;
    char ours[PASSWORD_STORED_SIZE];
    assert_int_equal(password_hash_new(SLICE(HORSE), ours), OK);
    uint64_t wrong = cost_us(slice_of(ours), SLICE("another horse"), false);
    struct slice bcrypt = SLICE("$2b$08$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2");
    // clang-format off
    const struct {
        uint64_t cost, expected;
    } cases[] = {
        {cost_us((struct slice){0}, SLICE(HORSE), true),       wrong                                   },
        {cost_us(slice_of(ours), SLICE(HORSE), true),          wrong                                   },
        {cost_us(SLICE("plain text"), SLICE(HORSE), false),    wrong                                   },
        {cost_us(SLICE("$2b$31$"), SLICE(HORSE), false),       wrong                                   },
        {cost_us(bcrypt, SLICE(A100), false),                  wrong                                   },
        {cost_us(bcrypt, SLICE(HORSE), true),                  cost_us(bcrypt, SLICE("another"), false)},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (cases[i].cost * 3 < cases[i].expected || cases[i].cost > cases[i].expected * 3)
            fail_msg("row %zu: %llu us, expected about %llu", i, (unsigned long long)cases[i].cost,
                     (unsigned long long)cases[i].expected);
}

static void nobody_is_never_let_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        assert_int_equal(
            password_verify_nobody(slice_of(vectors[i].stored), slice_of(vectors[i].plain)),
            ERR_DENIED);
    assert_int_equal(password_verify_nobody(SLICE("nonsense"), SLICE(HORSE)), ERR_DENIED);
}

static void *verify_all(void *start)
{
    size_t bad = 0;
    for (size_t n = 0; n < COUNT_OF(vectors); n++) {
        const struct vector *v = &vectors[(n + *(size_t *)start) % COUNT_OF(vectors)];
        bad += verify(v->stored, v->plain) != OK;
        bad += verify(v->stored, "x") != ERR_DENIED;
    }
    *(size_t *)start = bad;
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    pthread_t threads[4];
    size_t starts[COUNT_OF(threads)];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        starts[i] = i * 7;
        assert_int_equal(pthread_create(&threads[i], NULL, verify_all, &starts[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(starts[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_other_programs_stored_verifies),
        cmocka_unit_test(another_password_is_denied),
        cmocka_unit_test(a_changed_form_never_verifies),
        cmocka_unit_test(forms_that_are_not_ours_are_refused),
        cmocka_unit_test(weak_forms_are_for_htpasswd_files_only),
        cmocka_unit_test(bytes_that_bcrypt_does_not_read_are_refused_not_dropped),
        cmocka_unit_test(what_cannot_be_a_password_is_refused),
        cmocka_unit_test(a_new_password_is_checked),
        cmocka_unit_test(new_forms_are_of_the_current_scheme_and_never_the_same),
        cmocka_unit_test(older_forms_want_an_upgrade),
        cmocka_unit_test(nobody_and_a_broken_form_cost_what_a_wrong_password_costs),
        cmocka_unit_test(nobody_is_never_let_in),
        cmocka_unit_test(threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
