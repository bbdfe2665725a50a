// The control flow around the start of a loop as block translations know it: which ways were taken, from address to address.
// It is read from the engine's tables, most of it at once, before anything is lifted.

import Guest

final class CodeGraph {
    /// What is known of the superblock at an address.
    struct Place {
        let address: UInt64
        /// The engine was asked for it, and has a block translation of it.
        var isRead = false, isTranslated = false
        /// Ways from there lead back to the start of the loop.
        var leadsBack = false
        /// In `ways`: where it was seen to go, by ascending addresses, and where it was seen to jump, the likeliest first.
        var taken = 0 ..< 0, jumps = 0 ..< 0
        /// The last search that came by.
        var search = 0
    }

    /// Block translations that the search for the way back looks at, nearest first.
    static let searchedBlocks = 256

    private(set) var places: [Place] = []
    private var ways: [Int32] = []
    private var numbers = AddressTable()
    private var key = BlockKey(address: 0, mode: TranslationMode(rawValue: 0))
    private var searches = 0
    // Kept from place to place.
    private var found: [UInt64] = []
    private var rest: [Int] = []

    /// Forgets everything, and reads what is around the start of a loop. Holds the engine's lock.
    func read(around key: BlockKey, _ engine: Engine) {
        self.key = key
        places.removeAll(keepingCapacity: true)
        ways.removeAll(keepingCapacity: true)
        numbers.removeAll()
        searches = 0
        // Numbers are given in the order in which places are found.
        var next = number(of: key.address), searched = 0
        while next < places.count, searched < CodeGraph.searchedBlocks {
            if isInReach(places[next].address) {
                read(next, engine)
                searched += 1
            }
            next += 1
        }
        markWhatLeadsBack()
    }

    /// The number of a place, of which nothing may be known.
    func number(of address: UInt64) -> Int {
        if let known = numbers[address] { return known }
        numbers[address] = places.count
        places.append(Place(address: address))
        return places.count - 1
    }

    /// Asks the engine for one more place. Holds the engine's lock.
    func read(_ number: Int, _ engine: Engine) {
        let place = BlockKey(address: places[number].address, mode: key.mode, page: key.page)
        places[number].isRead = true
        guard isInReach(place.address), let index = engine.profiledBlock(place) else { return }
        places[number].isTranslated = true
        found.removeAll(keepingCapacity: true)
        let first = engine.blocks[index].firstLink
        for link in first ..< first + engine.blocks[index].linkCount where engine.linkedTo[link] >= 0 {
            found.append(engine.links[link].target)
        }
        found.sort()
        let taken = ways.count
        for place in found.indices where place == 0 || found[place] != found[place - 1] {
            ways.append(Int32(self.number(of: found[place])))
        }
        let jumps = ways.count
        for target in engine.jumpTargets(of: place, index) { ways.append(Int32(self.number(of: target))) }
        places[number].taken = taken ..< jumps
        places[number].jumps = jumps ..< ways.count
    }

    /// In machine mode only what is on the page of the loop's start: elsewhere, other code may be seen there later.
    func isInReach(_ address: UInt64) -> Bool { key.page == 0 || (address ^ key.address) >> 12 == 0 }

    /// Where the block translation was seen to go, in ascending order.
    func taken(_ number: Int) -> [UInt64] { ways[places[number].taken].map { places[Int($0)].address } }
    /// Where it was seen to jump, the likeliest first.
    func jumps(_ number: Int) -> [UInt64] { ways[places[number].jumps].map { places[Int($0)].address } }

    /// Ways from the address lead back to the start of the loop.
    func leadsBack(from address: UInt64) -> Bool { numbers[address].map { places[$0].leadsBack } ?? false }

    /// It was seen to go there.
    func goes(_ number: Int, to address: UInt64) -> Bool {
        ways[places[number].taken].contains { places[Int($0)].address == address }
    }

    private func markWhatLeadsBack() {
        // Of each place the ways that lead there, as a list, from the last on.
        var lastComing = [Int32](repeating: -1, count: places.count), before = [Int32](repeating: -1, count: ways.count)
        var origins = [Int32](repeating: 0, count: ways.count)
        for number in places.indices {
            for way in places[number].taken.lowerBound ..< places[number].jumps.upperBound {
                origins[way] = Int32(number)
                before[way] = lastComing[Int(ways[way])]
                lastComing[Int(ways[way])] = Int32(way)
            }
        }
        places[0].leadsBack = true
        rest.removeAll(keepingCapacity: true)
        rest.append(0)
        while let number = rest.popLast() {
            var way = Int(lastComing[number])
            while way >= 0 {
                let origin = Int(origins[way])
                if !places[origin].leadsBack {
                    places[origin].leadsBack = true
                    rest.append(origin)
                }
                way = Int(before[way])
            }
        }
    }

    /// Whether more than `limit` block translations are reached from the place by ways that were taken, jumps left out.
    /// - Parameter read: reads a place that is not known yet.
    func reachesMore(than limit: Int, from number: Int, _ read: (Int) -> Void) -> Bool {
        searches += 1
        places[number].search = searches
        rest.removeAll(keepingCapacity: true)
        rest.append(number)
        var count = 0
        while let number = rest.popLast() {
            if !places[number].isRead { read(number) }
            guard places[number].isTranslated else { continue }
            count += 1
            if count > limit { return true }
            for way in places[number].taken {
                let target = Int(ways[way])
                guard places[target].search != searches else { continue }
                places[target].search = searches
                rest.append(target)
            }
        }
        return false
    }
}

/// From addresses to small numbers: open addressing, a power of two of slots, half of them empty.
struct AddressTable {
    private static let noNumber: Int32 = -1
    private var addresses: [UInt64]
    private var numbers: [Int32]
    private(set) var count = 0

    init(capacity: Int = 1 << 10) {
        addresses = Array(repeating: 0, count: capacity)
        numbers = Array(repeating: AddressTable.noNumber, count: capacity)
    }

    /// Position of the address, or of the empty slot that ends the search for it.
    private func slot(_ address: UInt64) -> Int {
        let mask = numbers.count - 1
        var slot = Int(truncatingIfNeeded: (address >> 1 &* 0x9e37_79b9_7f4a_7c15) >> 32) & mask
        while numbers[slot] != AddressTable.noNumber, addresses[slot] != address { slot = (slot + 1) & mask }
        return slot
    }

    subscript(address: UInt64) -> Int? {
        get {
            let number = numbers[slot(address)]
            return number == AddressTable.noNumber ? nil : Int(number)
        }
        set {
            guard let newValue else { preconditionFailure("addresses are not taken out one by one") }
            let slot = slot(address)
            if numbers[slot] == AddressTable.noNumber { count += 1 }
            addresses[slot] = address
            numbers[slot] = Int32(newValue)
            if count * 2 > numbers.count { grow() }
        }
    }

    private mutating func grow() {
        let old = self
        self = AddressTable(capacity: old.numbers.count * 2)
        for (address, number) in zip(old.addresses, old.numbers) where number != AddressTable.noNumber {
            self[address] = Int(number)
        }
    }

    mutating func removeAll() {
        guard count > 0 else { return }
        for slot in numbers.indices { numbers[slot] = AddressTable.noNumber }
        count = 0
    }
}

extension Engine {
    /// The block translation whose links tell which ways are taken from there: the one that runs, or ran before a region took its
    /// place. Holds the lock.
    func profiledBlock(_ key: BlockKey) -> Int? {
        guard let index = blockOfKey[key] else { return replacedBlocks[key] }
        return blocks[index].isRegion ? replacedBlocks[key] ?? index : index
    }
}
