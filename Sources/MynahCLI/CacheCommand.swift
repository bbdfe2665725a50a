// `mynah cache`: what is kept of translations between runs.

import ArgumentParser
import Glibc
import Mynah

struct CacheCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache", abstract: "Look after the translations that are kept between runs.",
        discussion: """
            Programs start sooner when their translations of an earlier run are found. They are in \
            $XDG_CACHE_HOME/mynah or ~/.cache/mynah, unless MYNAH_CACHE or 'mynah run --cache' names another directory, or 'off'.
            """,
        subcommands: [Info.self, Clear.self, Prune.self, Verify.self], defaultSubcommand: Info.self)

    struct Location: ParsableArguments {
        @Option(name: .customLong("cache"), help: ArgumentHelp("The directory, if not the usual one.", valueName: "dir"))
        var directory: String?

        func store() throws -> TranslationCacheStore {
            let choice = directory.map { TranslationCacheChoice(text: $0) } ?? .automatic
            guard let store = TranslationCacheStore(choice) else {
                throw CommandFailure.usage(
                    "no cache: it is off, or there is no home directory; name a directory with '--cache DIR'")
            }
            return store
        }

        /// The store, when its directory may be used.
        func usableStore() throws -> TranslationCacheStore {
            let store = try store()
            if let objection = store.objection {
                throw CommandFailure(status: ExitStatus.failed, "\(objection): nothing was done")
            }
            return store
        }
    }

    private static func amount(_ files: Int, _ bytes: Int) -> String {
        "\(files) \(files == 1 ? "file" : "files"), \(withMagnitude(Double(bytes)))B"
    }

    // MARK: Commands

    struct Info: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show where it is and what it has.")
        @OptionGroup var location: Location
        @Flag(help: "As JSON.")
        var json = false

        func run() throws {
            let store = try location.store(), files = store.objection == nil ? store.files : []
            let bytes = files.reduce(0) { $0 + $1.byteCount }, translations = files.reduce(0) { $0 + ($1.translations ?? 0) }
            let withRegions = files.filter(\.hasRegions), regionBytes = withRegions.reduce(0) { $0 + $1.byteCount }
            let regions = withRegions.reduce(0) { $0 + ($1.translations ?? 0) }
            let damaged = files.filter { $0.translations == nil }.count
            if json {
                var fields: [(String, JSONValue)] = [
                    ("directory", .string(store.path)), ("usable", .boolean(store.objection == nil)),
                    ("files", .integer(files.count)), ("bytes", .integer(bytes)),
                    ("byteLimit", .integer(TranslationCacheStore.byteLimit)),
                    ("translations", .integer(translations)), ("regions", .integer(regions)),
                    ("regionBytes", .integer(regionBytes)), ("damagedFiles", .integer(damaged)),
                ]
                if let objection = store.objection { fields.append(("objection", .string(objection))) }
                if let last = files.last { fields.append(("lastUse", .integer(last.lastUse))) }
                return Console.writeOutput(JSONValue.object(fields).text() + "\n")
            }
            var text = "directory      \(store.path)\n"
            if let objection = store.objection { text += "not used       \(objection)\n" }
            let limit = withMagnitude(Double(TranslationCacheStore.byteLimit)), share = Self.share(regionBytes, of: bytes)
            text += "size           \(amount(files.count, bytes)), of at most \(limit)B\n"
            text += "translations   \(translations), \(regions) of them regions with \(share) % of the size\n"
            if damaged > 0 { text += "damaged        \(damaged); 'mynah cache verify --remove' removes them\n" }
            if let first = files.first, let last = files.last {
                text += "last used      \(Self.age(last)) ago, the oldest \(Self.age(first)) ago\n"
            }
            Console.writeOutput(text)
        }

        private static func share(_ part: Int, of whole: Int) -> Int { whole == 0 ? 0 : (part * 100 + whole / 2) / whole }

        private static func age(_ file: TranslationCacheStore.File) -> String {
            let hours = max(0, time(nil) - file.lastUse) / 3600
            return hours < 1 ? "less than an hour" : hours < 48 ? "\(hours) h" : "\(hours / 24) days"
        }
    }

    struct Clear: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove everything.")
        @OptionGroup var location: Location

        func run() throws {
            let removed = try location.usableStore().clear()
            Console.writeOutput("removed \(amount(removed.files, removed.bytes))\n")
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove what was used longest ago.")
        @OptionGroup var location: Location
        @Option(help: "Bytes to keep at most; K, M and G are understood.")
        var size: String?

        func run() throws {
            var limit = TranslationCacheStore.byteLimit
            if let size {
                do { limit = size == "0" ? 0 : try parseByteCount(size) } catch {
                    throw CommandFailure.usage("'--size': \(error)")
                }
            }
            let removed = try location.usableStore().prune(to: limit)
            Console.writeOutput("removed \(amount(removed.files, removed.bytes))\n")
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read every file and say which are damaged; status 1 when some are.")
        @OptionGroup var location: Location
        @Flag(help: "Remove the damaged ones.")
        var remove = false

        func run() throws {
            let store = try location.usableStore(), files = store.verify()
            let damaged = files.filter { $0.translations == nil }
            for file in damaged {
                let isRemoved = remove && store.remove(file)
                Console.writeOutput("\(file.name): damaged\(isRemoved ? ", removed" : "")\n")
            }
            Console.writeOutput("\(amount(files.count, files.reduce(0) { $0 + $1.byteCount })), \(damaged.count) damaged\n")
            if !damaged.isEmpty && !remove { throw ExitCode(ExitStatus.failed) }
        }
    }
}
