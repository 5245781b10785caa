// SPDX-License-Identifier: GPL-2.0-or-later
//
// {fmt} compiled into this library, from its own headers. Debian has it only as a
// shared library, which needs the shared C++ runtime: a verifier is started for every
// quote, and loading that runtime costs as much as checking a thousand records.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

// What format.h declares as `extern template` and this project's calls use.
template thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template char decimal_point_impl<char>(locale_ref);
template dragonbox::decimal_fp<float> dragonbox::to_decimal(float);
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double);

}  // namespace detail
FMT_END_NAMESPACE
