// SPDX-License-Identifier: GPL-2.0-or-later
//
// The functions of OpenSSL that check keys and signatures, loaded when they are
// first needed. Hashes are in hash.h.
#ifndef IMASNAP_OPENSSL_FUNCTIONS_H_
#define IMASNAP_OPENSSL_FUNCTIONS_H_

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "loaded_library.h"

#define IMASNAP_OPENSSL(function)                                                                  \
  function(BIO_ctrl) function(BIO_free_all) function(BIO_new) function(BIO_new_mem_buf) function(  \
      BIO_read) function(BIO_s_mem) function(BN_bin2bn) function(BN_free) function(BN_new)         \
      function(BN_set_word) function(CRYPTO_free) function(ECDSA_SIG_free) function(ECDSA_SIG_new) \
          function(ECDSA_SIG_set0) function(ERR_clear_error) function(EVP_DigestVerify)            \
              function(EVP_DigestVerifyInit_ex) function(EVP_MD_CTX_free) function(EVP_MD_CTX_new) \
                  function(EVP_PKEY_CTX_free) function(EVP_PKEY_CTX_new_from_name)                 \
                      function(EVP_PKEY_CTX_new_from_pkey) function(EVP_PKEY_CTX_set_rsa_padding)  \
                          function(EVP_PKEY_CTX_set_rsa_pss_saltlen) function(EVP_PKEY_free)       \
                              function(EVP_PKEY_fromdata) function(EVP_PKEY_fromdata_init)         \
                                  function(EVP_PKEY_get_bits) function(EVP_PKEY_get_group_name)    \
                                      function(EVP_PKEY_is_a) function(EVP_PKEY_public_check)      \
                                          function(EVP_PKEY_set_utf8_string_param) function(       \
                                              OSSL_PARAM_BLD_free) function(OSSL_PARAM_BLD_new)    \
                                              function(OSSL_PARAM_BLD_push_BN)                     \
                                                  function(OSSL_PARAM_BLD_push_octet_string)       \
                                                      function(OSSL_PARAM_BLD_push_utf8_string)    \
                                                          function(OSSL_PARAM_BLD_to_param)        \
                                                              function(OSSL_PARAM_free) function(  \
                                                                  PEM_read_bio_PUBKEY)             \
                                                                  function(PEM_write_bio_PUBKEY)   \
                                                                      function(i2d_ECDSA_SIG)      \
                                                                          function(i2d_PUBKEY_bio)

namespace imasnap {

IMASNAP_OPENSSL(IMASNAP_DECLARE_LOADED)

// Once; as LoadLibrary().
Status LoadOpenSsl();

}  // namespace imasnap

#endif  // IMASNAP_OPENSSL_FUNCTIONS_H_
