// The block device behind virtio: looks for it, negotiates, reads, writes and reads back (virtio 1.2: 4.2, 5.2). The disk must begin
// with a sector that repeats the bytes 0…255; the second is overwritten.
#include "../runtime/machine.h"

enum { DEVICE_ID = 0x8, FEATURES = 0x10, FEATURE_SELECT = 0x14, DRIVER_FEATURES = 0x20, DRIVER_SELECT = 0x24, QUEUE_SELECT = 0x30,
    QUEUE_MAXIMUM = 0x34, QUEUE_SIZE = 0x38, QUEUE_READY = 0x44, NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64,
    STATUS = 0x70, DESCRIPTORS = 0x80, AVAILABLE = 0x90, USED = 0xa0, CONFIGURATION = 0x100 };
enum { NEXT = 1, WRITE = 2, QUEUE = 8 };

static struct { u64 address; u32 length; u16 flags, next; } descriptors[QUEUE] __attribute__((aligned(4096)));
static struct { u16 flags, index, ring[QUEUE], event; } available __attribute__((aligned(64)));
static volatile struct { u16 flags, index; struct { u32 id, length; } ring[QUEUE]; } used __attribute__((aligned(64)));
static struct { u32 type, reserved; u64 sector; } request;
static u8 data[512], status;
static u64 device;
static u16 answered;

static void set_address(u64 offset, const volatile void *address) {
    write32(device + offset, (u32)(u64)address);
    write32(device + offset + 4, (u64)address >> 32);
}

static int transfer(u32 type, u64 sector, u32 bytes) {
    request.type = type, request.sector = sector;
    status = 0xff;
    descriptors[0].address = (u64)&request, descriptors[0].length = 16, descriptors[0].flags = NEXT, descriptors[0].next = 1;
    descriptors[1].address = (u64)data, descriptors[1].length = bytes, descriptors[1].flags = NEXT | (type == 0 ? WRITE : 0), descriptors[1].next = 2;
    descriptors[2].address = (u64)&status, descriptors[2].length = 1, descriptors[2].flags = WRITE;
    available.ring[available.index % QUEUE] = 0;
    full_fence();
    __atomic_store_n(&available.index, available.index + 1, __ATOMIC_RELEASE);
    full_fence();
    write32(device + NOTIFY, 0);
    await(used.index != answered);
    if (used.index == answered) return -1;
    answered++;
    full_fence();
    return status;
}

static int pattern(int offset) {
    for (int i = 0; i < 512; i++) if (data[i] != (u8)(i + offset)) return 0;
    return 1;
}

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    int source = 0;
    for (int slot = 0; slot < 8; slot++) {
        u64 base = VIRTIO + 0x1000ul * slot;
        if (read32(base) != 0x74726976 || read32(base + 4) != 2) continue;
        if (read32(base + DEVICE_ID) == 2) device = base, source = slot + 1;
    }
    EXPECT(device != 0);
    if (!device) return 1;
    write32(device + STATUS, 0);
    write32(device + STATUS, 1);
    write32(device + STATUS, 3);
    write32(device + FEATURE_SELECT, 1);
    EXPECT(read32(device + FEATURES) & 1); // VIRTIO_F_VERSION_1
    write32(device + DRIVER_SELECT, 0);
    write32(device + DRIVER_FEATURES, 0);
    write32(device + DRIVER_SELECT, 1);
    write32(device + DRIVER_FEATURES, 1);
    write32(device + STATUS, 11);
    EXPECT(read32(device + STATUS) == 11);
    write32(device + QUEUE_SELECT, 0);
    EXPECT(read32(device + QUEUE_MAXIMUM) >= QUEUE && read32(device + QUEUE_READY) == 0);
    write32(device + QUEUE_SIZE, QUEUE);
    set_address(DESCRIPTORS, descriptors);
    set_address(AVAILABLE, &available);
    set_address(USED, &used);
    write32(device + QUEUE_READY, 1);
    write32(device + STATUS, 15);
    u64 sectors = read32(device + CONFIGURATION) | (u64)read32(device + CONFIGURATION + 4) << 32;
    EXPECT(sectors >= 4);

    write32(PLIC + 4 * source, 1);
    write32(PLIC + 0x2000, 1u << source);
    EXPECT(transfer(0, 0, 512) == 0);
    EXPECT(pattern(0));
    EXPECT(used.ring[0].length == 513);
    EXPECT(csr_read(mip) & 1 << MACHINE_EXTERNAL);
    EXPECT(read32(device + INTERRUPT_STATUS) & 1);
    EXPECT(read32(PLIC + 0x200004) == (u32)source);
    write32(device + INTERRUPT_ACK, 1);
    write32(PLIC + 0x200004, source);
    EXPECT(read32(device + INTERRUPT_STATUS) == 0 && !(csr_read(mip) & 1 << MACHINE_EXTERNAL));

    for (int i = 0; i < 512; i++) data[i] = i + 77;
    EXPECT(transfer(1, 1, 512) == 0);
    fill_bytes(data, 0, 512);
    EXPECT(transfer(0, 1, 512) == 0 && pattern(77));
    EXPECT(transfer(0, sectors, 512) == 1); // behind the end
    EXPECT(transfer(99, 0, 512) == 2); // no such request
    for (int turn = 0; turn < 20; turn++) if (transfer(0, 0, 512) != 0 || !pattern(0)) EXPECT(turn < 0);
    write32(device + STATUS, 0);
    EXPECT(read32(device + STATUS) == 0 && read32(device + QUEUE_READY) == 0);
    return 0;
}
