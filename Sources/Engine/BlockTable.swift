// Which block is at an address, and which blocks depend on a page: flat tables, since many blocks may be installed at once.

import Guest

/// From keys to numbers of blocks: open addressing, a power of two of places. Blocks that are near each other have places near
/// each other: who looks one up was at another one just before.
final class BlockTable {
    private struct Place {
        var address: UInt64
        /// The mode where that is all of the rest of the key, which then has not set `hasPages`.
        var rest: UInt32
        /// Number of the block, or `empty` or `removed`.
        var index: Int32
    }
    /// The rest of a key of machine mode.
    private struct Pages: Equatable {
        var mode: UInt32 = 0
        var page: UInt32 = 0
        var secondPage: UInt32 = 0
    }
    private static let empty: Int32 = -1, removed: Int32 = -2, hasPages: UInt32 = 1 << 31
    // SAFETY: `mask + 1` places, all initialised; every position is masked.
    private var places: UnsafeMutablePointer<Place>
    private var mask: Int
    /// By position, of those that have any; empty as long as no place has.
    private var pages: [Pages] = []
    /// Places that are not empty.
    private var used = 0
    private(set) var count = 0

    init(capacity: Int = 1 << 10) {
        mask = capacity - 1
        places = BlockTable.makePlaces(capacity)
    }

    deinit { places.deallocate() }

    private static func makePlaces(_ count: Int) -> UnsafeMutablePointer<Place> {
        let places = UnsafeMutablePointer<Place>.allocate(capacity: count)
        places.initialize(repeating: Place(address: 0, rest: 0, index: empty), count: count)
        return places
    }

    /// Guest code that shares a row of places, as powers of two: bytes, and bytes for each place.
    private static let rowBits: UInt64 = 8, placeBits: UInt64 = 4

    @inline(__always)
    private func hash(_ key: BlockKey) -> Int {
        let code = key.address >> BlockTable.rowBits ^ UInt64(key.mode.rawValue) << 40 ^ UInt64(key.page) << 24
        let row = code &* 0x9e37_79b9_7f4a_7c15 >> 28, rowMask = UInt64(1) << (BlockTable.rowBits - BlockTable.placeBits) - 1
        return Int(truncatingIfNeeded: row & ~rowMask | key.address >> BlockTable.placeBits & rowMask) & mask
    }

    @inline(__always)
    private func rest(_ key: BlockKey) -> UInt32 {
        key.page | key.secondPage == 0 && key.mode.rawValue < BlockTable.hasPages ? key.mode.rawValue : BlockTable.hasPages
    }

    private func pages(of key: BlockKey) -> Pages { Pages(mode: key.mode.rawValue, page: key.page, secondPage: key.secondPage) }

    /// Position of the key, or of the empty place that ends the search for it.
    @inline(__always)
    private func position(_ key: BlockKey) -> Int {
        var position = hash(key)
        let rest = rest(key)
        while places[position].index != BlockTable.empty {
            let place = places[position]
            if place.address == key.address, place.rest == rest, place.index >= 0,
                rest != BlockTable.hasPages || pages[position] == pages(of: key)
            {
                return position
            }
            position = (position &+ 1) & mask
        }
        return position
    }

    subscript(key: BlockKey) -> Int? {
        get {
            let index = places[position(key)].index
            return index >= 0 ? Int(index) : nil
        }
        set {
            let found = position(key)
            guard let newValue else {
                guard places[found].index >= 0 else { return }
                places[found].index = BlockTable.removed
                count -= 1
                return
            }
            if places[found].index == BlockTable.empty {
                used += 1
                count += 1
            }
            places[found] = Place(address: key.address, rest: rest(key), index: Int32(newValue))
            if places[found].rest == BlockTable.hasPages {
                if pages.isEmpty { pages = Array(repeating: Pages(), count: mask + 1) }
                pages[found] = pages(of: key)
            }
            if used * 2 > mask { rebuild() }
        }
    }

    private func rebuild() {
        let old = places, oldPages = pages, oldCount = mask + 1
        let capacity = count * 4 > oldCount ? oldCount * 2 : oldCount
        places = BlockTable.makePlaces(capacity)
        mask = capacity - 1
        pages = oldPages.isEmpty ? [] : Array(repeating: Pages(), count: capacity)
        used = count
        for number in 0 ..< oldCount where old[number].index >= 0 {
            let place = old[number], hasPages = place.rest == BlockTable.hasPages
            let rest = hasPages ? oldPages[number] : Pages(mode: place.rest)
            let key = BlockKey(
                address: place.address, mode: TranslationMode(rawValue: rest.mode), page: rest.page, secondPage: rest.secondPage)
            let found = position(key)
            places[found] = place
            if hasPages { pages[found] = rest }
        }
        old.deallocate()
    }

    func removeAll() {
        for position in 0 ... mask { places[position].index = BlockTable.empty }
        used = 0
        count = 0
    }
}

/// The blocks that depend on each page of guest code.
final class PageTable {
    private struct Entry {
        var block: Int32
        var next: Int32
    }
    /// The last entry of each page's list.
    private var heads: [UInt64: Int32] = [:]
    private var entries: [Entry] = []
    private var firstFree: Int32 = -1
    private var recentPage = UInt64.max
    private var recentHead: Int32 = -1

    /// Pages with blocks, in no order.
    var pages: [UInt64] {
        settle()
        return Array(heads.keys)
    }
    var pageCount: Int {
        settle()
        return heads.count
    }

    func add(_ block: Int, to page: UInt64) {
        if page != recentPage {
            settle()
            recentPage = page
            recentHead = heads[page] ?? -1
        }
        let entry = Entry(block: Int32(block), next: recentHead)
        if firstFree >= 0 {
            recentHead = firstFree
            firstFree = entries[Int(firstFree)].next
            entries[Int(recentHead)] = entry
        } else {
            recentHead = Int32(entries.count)
            entries.append(entry)
        }
    }

    /// The head that is kept aside goes to its page.
    private func settle() {
        if recentHead >= 0 { heads[recentPage] = recentHead }
        recentPage = .max
        recentHead = -1
    }

    func blocks(of page: UInt64) -> [Int] {
        settle()
        var blocks: [Int] = [], entry = heads[page] ?? -1
        while entry >= 0 {
            blocks.append(Int(entries[Int(entry)].block))
            entry = entries[Int(entry)].next
        }
        return blocks
    }

    /// Forgets the blocks of the page and returns them.
    func take(_ page: UInt64) -> [Int] {
        settle()
        guard var entry = heads.removeValue(forKey: page) else { return [] }
        var blocks: [Int] = []
        while entry >= 0 {
            let next = entries[Int(entry)].next
            blocks.append(Int(entries[Int(entry)].block))
            entries[Int(entry)].next = firstFree
            firstFree = entry
            entry = next
        }
        return blocks
    }

    func removeAll() {
        heads.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        firstFree = -1
        recentPage = .max
        recentHead = -1
    }
}
