// SPDX-License-Identifier: GPL-2.0-or-later
#include "tampering.h"

namespace imasnap::testing {

void Fill(World* world) {
  for (int i = 0; i < 3; ++i) {
    world->kernel.MeasureFiles(8);
    ASSERT_TRUE(world->Take().ok());
  }
  world->kernel.MeasureFiles(4);
}

void FlipByte(World* world, uint64_t segment, size_t offset) {
  FakeFileSystem::Node* const node = world->fs.Find(world->SegmentPath(segment) + ".ima");
  node->data.at(offset) ^= std::byte{1};
  ++node->changed;
}

void Drop(World* world, uint64_t segment) {
  world->fs.Remove(world->SegmentPath(segment) + ".ima");
  world->fs.Remove(world->SegmentPath(segment) + ".json");
}

void Swap(World* world, const char* suffix) {
  world->fs.Move(world->SegmentPath(2) + suffix, kBoot1 + "/x");
  world->fs.Move(world->SegmentPath(3) + suffix, world->SegmentPath(2) + suffix);
  world->fs.Move(kBoot1 + "/x", world->SegmentPath(3) + suffix);
}

void Forge(World* world, uint64_t number, const Bytes& bytes) {
  const std::string path = world->SegmentPath(number);
  SegmentInfo info = world->Info(number);
  world->fs.Write(path + ".ima", AsText(bytes));
  Segment segment;
  segment.number = number;
  segment.path = path + ".ima";
  const SegmentInfo now = DescribeSegment(world->fs, segment).value();
  info.records = now.records;
  info.bytes = now.bytes;
  info.sha256 = now.sha256;
  info.last_record = info.first_record + info.records - 1;
  world->SetInfo(number, info);
}

Bytes SegmentBytes(World* world, uint64_t number) {
  return world->fs.Find(world->SegmentPath(number) + ".ima")->data;
}

}  // namespace imasnap::testing
