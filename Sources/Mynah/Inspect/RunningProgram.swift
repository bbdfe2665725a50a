// A program that runs, or has just ended, as `inspect --region` sees it: what was counted so far, and the stages of any of it.

import Engine
import Glibc
import Guest
import LinuxUser
import X86Backend

package final class RunningProgram {
    private let engine: Engine
    private let mappings: CodeMappings
    private var images: [String: ELFImage?] = [:]
    private let profile: ExecutionProfile
    /// By falling number of guest instructions executed in them.
    package let translations: [HotTranslation]
    /// Guest instructions executed by translations, and by the interpreter.
    package var translatedInstructions: UInt64 { profile.translatedInstructions }
    package var interpretedInstructions: UInt64 { profile.interpretedInstructions }
    /// Nothing was left uncounted for lack of room.
    package var isComplete: Bool { profile.isComplete }

    /// - Returns: nil when nothing is counted.
    init?(_ process: LinuxProcess) {
        guard let engine = process.engine, let profile = engine.executionProfile else { return nil }
        self.engine = engine
        self.profile = profile
        mappings = CodeMappings(process.mappingsText())
        translations = profile.translations.indices.map { RunningProgram.hot(profile.translations[$0], number: $0) }
            .filter { $0.instructionsExecuted > 0 }
            .sorted { ($0.instructionsExecuted, $1.address) > ($1.instructionsExecuted, $0.address) }
    }

    private static func hot(_ translation: TranslationProfile, number: Int) -> HotTranslation {
        let blocks = translation.superblocks.map { block in
            HotBlock(
                address: block.address, calls: block.calls, instructionCount: block.instructionCount,
                iterations: translation.plan.first { $0.address == block.address && $0.calls == block.calls }?.iterations ?? 1,
                executions: block.executions,
                instructionsExecuted: block.instructionsExecuted, instructionsInVectors: block.instructionsInVectors,
                events: block.events.map {
                    HotEvent(
                        kind: HotEvent.Kind(rawValue: "\($0.kind)") ?? .transfer, address: $0.address, target: $0.target, count: $0.count,
                        polls: $0.polls, isInside: $0.isInside, targetCalls: $0.targetCalls, unlinked: $0.unlinked)
                })
        }
        return HotTranslation(
            address: translation.address, isRegion: translation.isRegion, isCurrent: translation.isCurrent, entries: translation.entries,
            blocks: blocks, displacedHomes: translation.displacedHomes, number: number)
    }

    // MARK: Names

    /// "main+0x10"; nil where there is no symbol.
    package func name(of address: UInt64) -> String? {
        guard let (path, offset) = mappings.file(at: address) else { return nil }
        if images[path] == nil { images[path] = .some(path.hasPrefix("/") ? try? ELFImage(path: path) : nil) }
        guard let found = images[path]??.symbol(atFileOffset: offset) else { return nil }
        return found.offset == 0 ? found.name : "\(found.name)+0x\(String(found.offset, radix: 16))"
    }

    /// The hottest translation that a symbol, "symbol+0x10" or an address in hexadecimal is in.
    package func translation(at place: String) -> HotTranslation? {
        let digits = place.hasPrefix("0x") || place.hasPrefix("0X") ? place.dropFirst(2) : place[...]
        let named = translations.filter { translation in
            guard let name = name(of: translation.address) else { return false }
            return name == place || name.hasPrefix(place + "+")
        }
        if let first = named.first { return first }
        let inside = translations.first { $0.blocks.contains { name(of: $0.address).map { $0 == place || $0.hasPrefix(place + "+") } ?? false } }
        if let inside { return inside }
        guard let address = UInt64(digits, radix: 16) else { return nil }
        return translations.first { $0.address == address } ?? translations.first { translation in
            profile.translations[translation.number].plan.contains { $0.address == address }
        } ?? translations.first { detail(of: $0)?.rows.contains { $0.contains { $0.address == address } } ?? false }
    }

    // MARK: Stages

    /// Every stage of a translation; nil when its code is gone.
    package func detail(of translation: HotTranslation) -> HotDetail? {
        let counted = profile.translations[translation.number]
        guard let detail = engine.detail(of: counted.plan, counted.mode, isRegion: counted.isRegion) else { return nil }
        let rows = zip(translation.blocks, detail.superblocks).map { block, superblock in
            RunningProgram.rows(of: superblock, block)
        }
        let lines = { (lines: [HostLine]) in lines.map { HotLine(text: $0.text, isLabel: $0.isLabel) } }
        return HotDetail(
            translation: translation, rows: rows, prologue: lines(detail.prologue), cold: lines(detail.cold),
            hostByteCount: detail.hostByteCount, displaced: detail.displaced,
            findings: HotDetail.findings(translation, rows, detail.displaced))
    }

    private static func rows(of superblock: TranslationDetail.Superblock, _ block: HotBlock) -> [HotRow] {
        var executions = block.executions
        let isCountedByRow = block.iterations == 1 && !superblock.startsWithVectors
        return superblock.rows.enumerated().map { number, row in
            let isVectors = superblock.startsWithVectors && number == 0
            let result = HotRow(
                address: row.guest.address, encoding: row.guest.encoding, byteCount: row.guest.byteCount, guest: row.guest.text,
                ir: row.lifted, optimized: row.optimized, host: row.host.map { HotLine(text: $0.text, isLabel: $0.isLabel) },
                executions: isVectors ? block.vectorGroups : isCountedByRow ? executions : nil, isVectors: isVectors)
            let left = block.events.filter { $0.address == row.guest.address && $0.leaves }.reduce(0 as UInt64) { $0 &+ $1.count }
            executions = executions > left ? executions - left : 0
            return result
        }
    }
}

extension HotEvent {
    /// An execution of the superblock ends with it.
    package var leaves: Bool {
        switch kind {
        case .transfer, .call, .jump, .indirectCall, .return, .trap: return true
        case .cacheFill, .cacheMiss, .returnMiss, .interpreter, .vectors: return false
        }
    }
}

/// What `Program.inspect` was asked for; reports once, whoever is first: the program's end or the clock.
final class RunInspection: @unchecked Sendable {
    private let seconds: Double?
    private let report: (RunningProgram) -> Void
    private let owner = getpid()
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    weak var process: LinuxProcess?

    init(seconds: Double?, report: @escaping (RunningProgram) -> Void) {
        self.seconds = seconds
        self.report = report
        pthread_mutex_init(lock, nil)
    }

    /// Waits beside the program, then reports and ends the process. Takes no signals: they are the guest's.
    func startClock() {
        guard seconds != nil else { return }
        var thread = pthread_t(), all = sigset_t(), before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        pthread_create(&thread, nil, { context in
            let inspection = Unmanaged<RunInspection>.fromOpaque(context!).takeRetainedValue()
            let seconds = inspection.seconds ?? 0
            var time = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
            var rest = timespec()
            while nanosleep(&time, &rest) != 0 { time = rest }
            inspection.reportOnce()
            _exit(0)
        }, Unmanaged.passRetained(self).toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    /// The lock is kept: whoever comes second waits for the end of the process.
    func reportOnce() {
        // The child of a fork has its parent's counts, and its parent's report.
        guard getpid() == owner else { return }
        pthread_mutex_lock(lock)
        if let process, let program = RunningProgram(process) { report(program) }
    }
}
