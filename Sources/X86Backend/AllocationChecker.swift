// Checks register allocation independently of it: replays what the translator says it emitted (`Translator.events`) over
// symbolic places and compares with the IR. A place knows which values its bits are; a guest slot and its home register are one
// place, which also knows what was last committed to it.

import IR

package struct AllocationChecker {
    /// What a place holds: an IR value, or the unknown content that a slot had at the start or after a call out.
    private enum Name: Hashable {
        case value(Int)
        case unknown(slot: Int, age: Int)
    }

    private let function: Function
    /// The homes of slots: one place with them.
    private let homes: [AllocationEvent.Place?]
    /// Slots whose homes are lent: who observes takes them from memory.
    private var stored: Set<Int> = []
    private var contents: [AllocationEvent.Place: Set<Name>] = [:]
    private var committed: [Name] = []
    /// Slots whose writes are deferred, and those of them that the last observer has not been promised yet.
    private var suspended: [Int: Int] = [:]
    private var due: Set<Int> = []
    private var age = 0
    private var messages: [String] = []

    /// What is wrong with the allocation that `events` describe, one message an error; empty when nothing is.
    /// - Parameters:
    ///   - function: the function as it was translated.
    ///   - homes: the registers that the slots live in, by slot; nil for those that are in memory.
    package static func errors(in events: [AllocationEvent], of function: Function, homes: [AllocationEvent.Place?]) -> [String] {
        var checker = AllocationChecker(function: function, homes: homes)
        for (position, event) in events.enumerated() { checker.replay(event, position) }
        checker.settleDue(events.count)
        return checker.messages
    }

    private init(function: Function, homes: [AllocationEvent.Place?]) {
        self.function = function
        self.homes = homes
        for slot in homes.indices {
            committed.append(.unknown(slot: slot, age: 0))
            contents[physical(.slot(slot))] = [.unknown(slot: slot, age: 0)]
        }
    }

    private mutating func replay(_ event: AllocationEvent, _ position: Int) {
        switch event {
        case .define(let value, let place): define(value, place, position)
        case .use(let value, let place, let user):
            if !holds(place, .value(value)) { report(position, "%\(user) reads %\(value) from \(place), which holds \(list(place))") }
        case .move(let from, let to): contents[physical(to)] = contents[physical(from)] ?? []
        case .clobber(.slot(let slot)):
            age += 1
            committed[slot] = .unknown(slot: slot, age: age)
            contents[physical(.slot(slot))] = [committed[slot]]
        case .clobber(let place): contents[physical(place)] = []
        case .suspend(let slot, let value):
            settleDue(position)
            suspended[slot] = value
            stored.remove(slot)
            committed[slot] = .value(value)
        case .promise(let slot, let value, let origins): promise(slot, value, origins, position)
        case .commit(let slot, let value):
            settleDue(position)
            suspended[slot] = nil
            stored.remove(slot)
            committed[slot] = .value(value)
            if !holds(.slot(slot), .value(value)) { report(position, "slot \(slot) holds \(list(.slot(slot))), not the %\(value) written to it") }
        case .observe: observe(position)
        case .lend(let slot): stored.insert(slot)
        case .giveBack(let slot):
            settleDue(position)
            stored.remove(slot)
        case .recall(let slot):
            due.remove(slot)
            if !stored.contains(slot) { report(position, "slot \(slot) is looked for in memory, but its home was not lent") }
        }
    }

    private mutating func define(_ value: Int, _ place: AllocationEvent.Place, _ position: Int) {
        let instruction = function[Value(value)]
        guard instruction.opcode == .read else {
            contents[physical(place)] = [.value(value)]
            return
        }
        // A read names what is in the slot already, which must be what was last committed.
        guard place == .slot(instruction.slot), holds(place, committed[instruction.slot]) else {
            report(position, "the read %\(value) of slot \(instruction.slot) takes \(place), which holds \(list(place))")
            return
        }
        contents[physical(place)]?.insert(.value(value))
    }

    /// An observer makes the deferred value from its origins.
    private mutating func promise(_ slot: Int, _ value: Int, _ origins: [AllocationEvent.Origin], _ position: Int) {
        due.remove(slot)
        if suspended[slot] != value { report(position, "%\(value) is promised for slot \(slot), which waits for another value") }
        for origin in origins {
            if let place = origin.place {
                if !holds(place, .value(origin.value)) {
                    report(position, "%\(value) is made from %\(origin.value) in \(place), which holds \(list(place))")
                }
            } else if !isImmediate(origin.value) {
                report(position, "%\(origin.value) is no constant")
            }
        }
        if !isMade(value, from: Set(origins.map(\.value))) {
            report(position, "%\(value) is not made from \(origins.map { "%\($0.value)" })")
        }
    }

    private func isImmediate(_ value: Int) -> Bool {
        let opcode = function[Value(value)].opcode
        return opcode == .constant || opcode == .guestAddress
    }

    /// Every way back from the value by pure operations ends at an origin or a constant.
    private func isMade(_ value: Int, from origins: Set<Int>) -> Bool {
        if origins.contains(value) || isImmediate(value) { return true }
        let i = function[Value(value)]
        guard DeferredWrite.Step.isUnary(i.opcode) || DeferredWrite.Step.isBinary(i.opcode) else { return false }
        return isMade(Int(i.a.index), from: origins) && (i.opcode.operandCount < 2 || isMade(Int(i.b.index), from: origins))
    }

    private mutating func settleDue(_ position: Int) {
        for slot in due { report(position, "the deferred write of slot \(slot) was kept from an observer") }
        due.removeAll()
    }

    private mutating func observe(_ position: Int) {
        settleDue(position)
        due = Set(suspended.keys).union(stored)
        for slot in committed.indices where suspended[slot] == nil && !holds(seenPlace(of: slot), committed[slot]) {
            report(position, "slot \(slot) is seen while it holds \(list(.slot(slot))) instead of \(text(committed[slot]))")
        }
    }

    private func seenPlace(of slot: Int) -> AllocationEvent.Place { stored.contains(slot) ? .memory(slot) : .slot(slot) }

    private func holds(_ place: AllocationEvent.Place, _ name: Name) -> Bool { contents[physical(place)]?.contains(name) ?? false }

    private func physical(_ place: AllocationEvent.Place) -> AllocationEvent.Place {
        if case .slot(let slot) = place { return homes[slot] ?? place }
        return place
    }

    private mutating func report(_ position: Int, _ reason: String) { messages.append("event \(position): \(reason)") }

    private func list(_ place: AllocationEvent.Place) -> String {
        let names = (contents[physical(place)] ?? []).map(text).sorted()
        return names.isEmpty ? "nothing known" : names.joined(separator: " = ")
    }

    private func text(_ name: Name) -> String {
        switch name {
        case .value(let value): "%\(value)"
        case .unknown(let slot, let age): age == 0 ? "the first content of slot \(slot)" : "what a call left in slot \(slot)"
        }
    }
}
