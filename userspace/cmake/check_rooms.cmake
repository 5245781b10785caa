# SPDX-License-Identifier: GPL-2.0-or-later
#
# cmake -P check_rooms.cmake: fails if a file includes one that rooms.cmake does not allow.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/rooms.cmake)
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH source)

function(check_file file room allowed)
  file(STRINGS ${source}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" include "${line}")
    string(REGEX MATCH "^[^/]*" included "${include}")
    if(NOT included IN_LIST allowed)
      list(JOIN allowed ", " rooms)
      message(SEND_ERROR "${file} includes \"${include}\". Files of ${room} may include: ${rooms}.")
    endif()
  endforeach()
endfunction()

set(before "")
foreach(room IN LISTS IMASNAP_ROOMS IMASNAP_PROGRAMS)
  file(GLOB files RELATIVE ${source} ${source}/src/${room}/*.cc ${source}/src/${room}/*.h
      ${source}/${room}/*.cc ${source}/${room}/*.h)
  if(NOT files)
    message(SEND_ERROR "The room ${room} has no files.")
  endif()
  foreach(file IN LISTS files)
    check_file(${file} ${room} "${before};${room}")
  endforeach()
  if(room IN_LIST IMASNAP_ROOMS)
    list(APPEND before ${room})
  endif()
endforeach()
