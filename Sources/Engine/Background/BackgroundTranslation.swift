// Regions made on a thread of their own, while block translations go on running. The engine's lock guards everything here; it is not
// held while a region is made, but for moments in which links are read.
//
// What is made may be outdated before it is done: a change of code in a page that was read, or of the block translation that the region is
// to replace, or emptying the code cache, has it thrown away.

import CHost
import Glibc
import Guest

final class BackgroundTranslation: @unchecked Sendable {
    /// A loop that is hot.
    struct Request {
        var key: BlockKey
        /// The block translation that counts how often it is entered; as long as it is good, the code of its page is what it was (in machine
        /// mode: of all of the page).
        var counting: Int
        /// The engine's, in which numbers of blocks mean something.
        var generation: Int
        /// Machine mode: the page, as the processor that asked sees it.
        var page: CodePage?
        /// Samples that found it hot.
        var samples = 0
        /// If no region can be made of it now, none ever can.
        var isProven = true
    }

    enum Answer {
        /// It will be made, or is being made.
        case accepted
        /// Too many are waiting.
        case refused
        /// There is no thread for it: nobody but the caller makes regions.
        case unavailable
    }

    static let queueLimit = 64
    private static let stackBytes = 2 << 20
    private weak var engine: Engine?
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    // SAFETY: allocated for the life of this object, which the thread keeps alive, too.
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [Request] = []
    private var current: Request?
    /// What is being made is good for nothing.
    private var isOutdated = false
    /// Pages that were read for it.
    private var pages: Set<UInt64> = []
    private var translator: RegionTranslator?
    private let snapshot: CodeSnapshot

    private enum Phase { case none, starting, running }
    private var phase = Phase.none
    private var ends = false
    private var isUnavailable = false
    private var threadID: Int32 = 0
    /// The process whose thread it is; a child of vfork is in this memory, too.
    private var process = getpid()
    private var isWorking = false
    /// How many wait for the thread to hold still, or have it hold still.
    private var pauses = 0

    init(_ engine: Engine) {
        self.engine = engine
        lock = engine.lock
        changed = .allocate(capacity: 1)
        pthread_cond_init(changed, nil)
        snapshot = CodeSnapshot(of: engine.memory)
        snapshot.willRead = { [unowned self] page in notePage(page) }
    }

    deinit {
        pthread_cond_destroy(changed)
        changed.deallocate()
    }

    // MARK: Asking. All of it with the lock held.

    /// Whether a region of the key is under way; then this counts as a sample of it.
    func isUnderWay(_ key: BlockKey) -> Bool {
        if let index = queue.firstIndex(where: { $0.key == key }) {
            queue[index].samples += 1
            startThread()
            return true
        }
        return current?.key == key
    }

    func request(_ key: BlockKey, counting: Int, isProven: Bool = true, _ engine: Engine) -> Answer {
        guard queue.count < BackgroundTranslation.queueLimit else { return .refused }
        startThread()
        if isUnavailable { return .unavailable }
        var request = Request(key: key, counting: counting, generation: engine.generation, isProven: isProven)
        if key.page != 0 {
            guard let window = engine.memory.codeWindow(at: GuestAddress(key.address)), let page = CodePage(key.address, in: window) else {
                return .refused
            }
            request.page = page
        }
        queue.append(request)
        engine.counters.longestRegionQueue = max(engine.counters.longestRegionQueue, queue.count)
        pthread_cond_broadcast(changed)
        return .accepted
    }

    /// Guest code in the range changed.
    func invalidate(_ range: Range<UInt64>) {
        guard current != nil, !range.isEmpty else { return }
        let mask = ~(CodePage.byteCount - 1)
        isOutdated = isOutdated || pages.contains { $0 >= range.lowerBound & mask && $0 <= (range.upperBound - 1) & mask }
    }

    /// The code cache is being emptied.
    func forgetAll() {
        engine?.counters.regionsThrownAway += queue.count
        queue.removeAll()
        isOutdated = true
        pthread_cond_broadcast(changed)
    }

    // MARK: The thread's life

    /// With the lock held.
    private func startThread() {
        guard phase == .none, !ends, !isUnavailable else { return }
        // Whoever shares this memory for a while has no thread of its own: what it asks for waits for the owner's.
        guard process == getpid() else { return }
        guard CodePage.canRead else {
            isUnavailable = true
            return
        }
        phase = .starting
        let error = mynah_start_thread(
            { Unmanaged<BackgroundTranslation>.fromOpaque($0!).takeRetainedValue().run() }, Unmanaged.passRetained(self).toOpaque(),
            BackgroundTranslation.stackBytes)
        guard error != 0 else { return }
        Unmanaged.passUnretained(self).release()
        phase = .none
        isUnavailable = true
    }

    /// The host's number of the thread, when this process has it. Takes the lock.
    var ownThreadID: Int32? {
        locked {
            while phase == .starting { pthread_cond_wait(changed, lock) }
            return phase == .running && process == getpid() ? threadID : nil
        }
    }

    /// Ends the thread; the next request starts another. What is being made is thrown away. On return, the process does not have
    /// the thread any more. Takes the lock.
    func end() {
        let ended = locked { () -> Int32 in
            guard process == getpid() else { return 0 }
            while phase == .starting { pthread_cond_wait(changed, lock) }
            guard phase == .running else { return 0 }
            ends = true
            isOutdated = true
            pthread_cond_broadcast(changed)
            return threadID
        }
        // The last to let go of an engine may be the thread itself.
        guard ended != 0, ended != mynah_thread_id() else { return }
        while mynah_syscall(234 /* tgkill */, Int(getpid()), Int(ended), 0, 0, 0, 0) == 0 { usleep(50) }
    }

    /// Returns when nothing is asked for and nothing under way. Takes the lock.
    func finish() {
        locked {
            while phase != .none && (current != nil || !queue.isEmpty) { pthread_cond_wait(changed, lock) }
        }
    }

    // MARK: Forking. All of it with the lock held.

    /// Returns when the thread is where nothing is half done, and stays there until `goOn`.
    func holdStill() {
        pauses += 1
        while isWorking || phase == .starting { pthread_cond_wait(changed, lock) }
    }

    func goOn() {
        pauses -= 1
        pthread_cond_broadcast(changed)
    }

    /// The child has no thread yet. What the parent's was at is left to the parent's buffers, and asked for again.
    func childAfterFork() {
        pthread_cond_init(changed, nil)
        phase = .none
        ends = false
        process = getpid()
        isWorking = false
        pauses = 0
        guard let interrupted = current else { return }
        translator = nil
        current = nil
        isOutdated = false
        queue.insert(interrupted, at: 0)
    }

    // MARK: On the thread

    private func run() {
        // No signal is for this thread. It does not touch what may fault.
        var all = ~UInt64(0)
        _ = withUnsafeMutablePointer(to: &all) { mynah_syscall(14 /* rt_sigprocmask */, 0 /* SIG_BLOCK */, Int(bitPattern: $0), 0, 8, 0, 0) }
        mynah_set_mxcsr(0x1f80)
        let name = "mynah-regions"
        _ = name.withCString { mynah_syscall(157 /* prctl */, 15 /* PR_SET_NAME */, Int(bitPattern: $0), 0, 0, 0, 0) }
        // A guest's real-time priority is its own.
        var normal: Int32 = 0
        _ = withUnsafeMutablePointer(to: &normal) { mynah_syscall(144 /* sched_setscheduler */, 0, 0 /* SCHED_OTHER */, Int(bitPattern: $0), 0, 0, 0) }
        locked {
            threadID = mynah_thread_id()
            phase = .running
            pthread_cond_broadcast(changed)
        }
        while let engine = nextEngine() { work(for: engine) }
        locked {
            phase = .none
            ends = false
            pthread_cond_broadcast(changed)
        }
    }

    /// Waits until something is to be done; nil when the thread is to end.
    private func nextEngine() -> Engine? {
        let ends = locked {
            while !self.ends && (pauses > 0 || queue.isEmpty) { pthread_cond_wait(changed, lock) }
            return self.ends
        }
        return ends ? nil : engine
    }

    /// Makes the region that was found hot most often.
    private func work(for engine: Engine) {
        let request = locked { () -> Request? in
            guard pauses == 0, let place = queue.indices.max(by: { queue[$0].samples < queue[$1].samples }) else { return nil }
            let request = queue.remove(at: place)
            guard isGood(request, engine) else {
                throwAway(request, engine)
                pthread_cond_broadcast(changed)
                return nil
            }
            current = request
            isOutdated = false
            isWorking = true
            pages.removeAll(keepingCapacity: true)
            return request
        }
        guard let request else { return }
        let maker = translator ?? RegionTranslator(engine, for: self, source: snapshot)
        translator = maker
        snapshot.restart(with: request.page)
        var region = maker.translate(request.key)
        locked {
            if isOutdated || !isGood(request, engine) {
                throwAway(request, engine)
            } else if region == nil || !engine.install(&region!, by: maker, replacing: request.counting) {
                if request.isProven { engine.refuse(request.key, request.counting) }
            }
            engine.counters.backgroundStages += maker.takeStages()
            current = nil
            isWorking = false
            pthread_cond_broadcast(changed)
        }
    }

    /// What it is to replace is still there.
    private func isGood(_ request: Request, _ engine: Engine) -> Bool {
        request.generation == engine.generation && engine.blocks[request.counting].isValid && engine.blockOfKey[request.key] == request.counting
    }

    private func throwAway(_ request: Request, _ engine: Engine) {
        engine.counters.regionsThrownAway += 1
        if isGood(request, engine) { engine.stopProbing(request.key, request.counting) }
    }

    /// A place where nothing is half done: whoever forks may do it now.
    private func pause() {
        guard pauses > 0 else { return }
        isWorking = false
        pthread_cond_broadcast(changed)
        while pauses > 0 { pthread_cond_wait(changed, lock) }
        isWorking = true
    }

    private func notePage(_ page: UInt64) -> Bool {
        locked {
            pages.insert(page)
            return !isOutdated
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }
}

extension BackgroundTranslation: RegionContext {
    func ask<Answer>(_ question: (Engine) -> Answer) -> Answer? {
        locked {
            pause()
            // Numbers of blocks and links may be those of other ones.
            guard !isOutdated, let engine, current?.generation == engine.generation else { return nil }
            return question(engine)
        }
    }

    var isWanted: Bool {
        locked {
            pause()
            return !isOutdated
        }
    }
}
