// The list of a guest's mappings: sorted, disjoint, neighbours merged. Pure bookkeeping, no system calls.

/// Access rights as in mmap(2).
package struct Protection: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let read = Protection(rawValue: 1)
    package static let write = Protection(rawValue: 2)
    package static let execute = Protection(rawValue: 4)
}

/// What a mapping shows: a file, or memory with a name such as [stack].
package struct MappingSource: Hashable {
    package var name = ""
    package var device: UInt64 = 0
    package var inode: UInt64 = 0
    /// Of the file when it was mapped: its size, and nanoseconds since 1970 of its last change.
    package var byteCount: UInt64 = 0
    package var modified: UInt64 = 0
    package init(_ name: String) { self.name = name }
    package init(device: UInt64, inode: UInt64, byteCount: UInt64 = 0, modified: UInt64 = 0) {
        self.device = device
        self.inode = inode
        self.byteCount = byteCount
        self.modified = modified
    }
}

/// One mapping. A trivial value: its source is an index, so that splitting and moving cost no reference counts.
package struct Region: Equatable {
    package var start: UInt64
    package var end: UInt64
    package var protection: Protection
    package var isShared: Bool
    /// Index into `RegionList.sources`; 0 for anonymous memory.
    package var source: Int32
    /// Offset of `start` in the file; `start` itself for memory that only has a name; 0 without a source.
    package var offset: UInt64

    /// This mapping's part inside a range that it overlaps.
    func clipped(to range: Range<UInt64>) -> Region {
        var part = self
        part.start = max(start, range.lowerBound)
        part.end = min(end, range.upperBound)
        if source != 0 { part.offset = offset &+ (part.start - start) }
        return part
    }

    func continues(_ previous: Region) -> Bool {
        previous.end == start && previous.protection == protection && previous.isShared == isShared && previous.source == source
            && (source == 0 || previous.offset &+ (previous.end - previous.start) == offset)
    }
}

package struct RegionList {
    package private(set) var regions: [Region] = []
    package private(set) var sources: [MappingSource] = [MappingSource("")]
    private var sourceIndices: [MappingSource: Int32] = [:]

    package init() {}

    package mutating func index(of source: MappingSource) -> Int32 {
        if let index = sourceIndices[source] { return index }
        sources.append(source)
        sourceIndices[source] = Int32(sources.count - 1)
        return Int32(sources.count - 1)
    }

    /// Index of the first region that ends above `address`.
    package func firstIndex(endingAbove address: UInt64) -> Int {
        var low = 0
        var high = regions.count
        while low < high {
            let middle = (low + high) / 2
            if regions[middle].end > address { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The region that contains `address`.
    package func region(at address: UInt64) -> Region? {
        let index = firstIndex(endingAbove: address)
        return index < regions.count && regions[index].start <= address ? regions[index] : nil
    }

    /// The parts of regions inside `range`.
    package func parts(in range: Range<UInt64>) -> [Region] {
        var parts: [Region] = []
        var index = firstIndex(endingAbove: range.lowerBound)
        while index < regions.count && regions[index].start < range.upperBound {
            parts.append(regions[index].clipped(to: range))
            index += 1
        }
        return parts
    }

    package func isFree(_ range: Range<UInt64>) -> Bool {
        let index = firstIndex(endingAbove: range.lowerBound)
        return index == regions.count || regions[index].start >= range.upperBound
    }

    /// Whether no address of `range` is unmapped.
    package func covers(_ range: Range<UInt64>) -> Bool {
        var reached = range.lowerBound
        var index = firstIndex(endingAbove: reached)
        while reached < range.upperBound {
            guard index < regions.count, regions[index].start <= reached else { return false }
            reached = regions[index].end
            index += 1
        }
        return true
    }

    /// The highest free range of `byteCount` bytes inside `limits`, its start a multiple of `alignment`.
    package func highestFree(_ byteCount: UInt64, in limits: Range<UInt64>, alignment: UInt64 = 4096) -> UInt64? {
        var top = limits.upperBound
        var index = firstIndex(endingAbove: top) - 1
        // A region across the upper limit.
        if index + 1 < regions.count && regions[index + 1].start < top { top = regions[index + 1].start }
        while true {
            let floor = index >= 0 ? max(regions[index].end, limits.lowerBound) : limits.lowerBound
            if top > floor && top - floor >= byteCount {
                let start = (top - byteCount) & ~(alignment - 1)
                if start >= floor { return start }
            }
            guard index >= 0, regions[index].end > limits.lowerBound else { return nil }
            top = min(top, regions[index].start)
            index -= 1
        }
    }

    /// Makes `range` free.
    package mutating func remove(_ range: Range<UInt64>) {
        let first = firstIndex(endingAbove: range.lowerBound)
        var last = first
        while last < regions.count && regions[last].start < range.upperBound { last += 1 }
        guard first < last else { return }
        let head = regions[first], tail = regions[last - 1]
        if head.start >= range.lowerBound && tail.end <= range.upperBound {
            regions.removeSubrange(first..<last)
            return
        }
        var rests: [Region] = []
        if head.start < range.lowerBound { rests.append(head.clipped(to: head.start..<range.lowerBound)) }
        if tail.end > range.upperBound { rests.append(tail.clipped(to: range.upperBound..<tail.end)) }
        regions.replaceSubrange(first..<last, with: rests)
    }

    /// Adds a region in place of whatever is there, merging it with its neighbours.
    package mutating func insert(_ region: Region) {
        remove(region.start..<region.end)
        var index = firstIndex(endingAbove: region.start)
        var merged = region
        if index > 0 && region.continues(regions[index - 1]) {
            merged = regions[index - 1]
            merged.end = region.end
            regions.remove(at: index - 1)
            index -= 1
        }
        if index < regions.count && regions[index].continues(merged) {
            merged.end = regions[index].end
            regions[index] = merged
        } else {
            regions.insert(merged, at: index)
        }
    }

    package mutating func setProtection(_ protection: Protection, in range: Range<UInt64>) {
        for part in parts(in: range) where part.protection != protection {
            var changed = part
            changed.protection = protection
            insert(changed)
        }
    }
}
