;; Kernels of the split-block bloom filter (parquet-format, BloomFilter.md): XXH64 with seed 0 of
;; every value of a batch, the count of distinct hashes, and their insertion into the blocks.
;; JavaScript lays out the memory; nothing here checks bounds beyond the engine's own.
(module
  (memory (export "memory") 16)

  (func $round (param $acc i64) (param $lane i64) (result i64)
    (i64.mul
      (i64.rotl
        (i64.add (local.get $acc) (i64.mul (local.get $lane) (i64.const 0xC2B2AE3D27D4EB4F)))
        (i64.const 31))
      (i64.const 0x9E3779B185EBCA87)))

  (func $merge (param $hash i64) (param $acc i64) (result i64)
    (i64.add
      (i64.mul
        (i64.xor (local.get $hash) (call $round (i64.const 0) (local.get $acc)))
        (i64.const 0x9E3779B185EBCA87))
      (i64.const 0x85EBCA77C2B2AE63)))

  (func $stripes (param $at i32) (param $end i32) (result i64)
    (local $a i64) (local $b i64) (local $c i64) (local $d i64)
    (local.set $a (i64.const 0x60EA27EEADC0B5D6))
    (local.set $b (i64.const 0xC2B2AE3D27D4EB4F))
    (local.set $c (i64.const 0))
    (local.set $d (i64.const 0x61C8864E7A143579))
    (loop $next
      (local.set $a (call $round (local.get $a) (i64.load align=1 (local.get $at))))
      (local.set $b (call $round (local.get $b) (i64.load offset=8 align=1 (local.get $at))))
      (local.set $c (call $round (local.get $c) (i64.load offset=16 align=1 (local.get $at))))
      (local.set $d (call $round (local.get $d) (i64.load offset=24 align=1 (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (br_if $next (i32.le_u (i32.add (local.get $at) (i32.const 32)) (local.get $end))))
    (i64.add
      (i64.add
        (i64.rotl (local.get $a) (i64.const 1))
        (i64.rotl (local.get $b) (i64.const 7)))
      (i64.add
        (i64.rotl (local.get $c) (i64.const 12))
        (i64.rotl (local.get $d) (i64.const 18))))
    (call $merge (local.get $a))
    (call $merge (local.get $b))
    (call $merge (local.get $c))
    (call $merge (local.get $d)))

  (func $xxh64 (param $at i32) (param $length i32) (result i64)
    (local $end i32) (local $hash i64)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (if (i32.ge_u (local.get $length) (i32.const 32))
      (then
        (local.set $hash (call $stripes (local.get $at) (local.get $end)))
        (local.set $at
          (i32.add (local.get $at) (i32.and (local.get $length) (i32.const -32)))))
      (else (local.set $hash (i64.const 0x27D4EB2F165667C5))))
    (local.set $hash (i64.add (local.get $hash) (i64.extend_i32_u (local.get $length))))
    (block $eights_done
      (loop $eights
        (br_if $eights_done
          (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $end)))
        (local.set $hash
          (i64.add
            (i64.mul
              (i64.rotl
                (i64.xor
                  (local.get $hash)
                  (call $round (i64.const 0) (i64.load align=1 (local.get $at))))
                (i64.const 27))
              (i64.const 0x9E3779B185EBCA87))
            (i64.const 0x85EBCA77C2B2AE63)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $eights)))
    (if (i32.le_u (i32.add (local.get $at) (i32.const 4)) (local.get $end))
      (then
        (local.set $hash
          (i64.add
            (i64.mul
              (i64.rotl
                (i64.xor
                  (local.get $hash)
                  (i64.mul
                    (i64.load32_u align=1 (local.get $at))
                    (i64.const 0x9E3779B185EBCA87)))
                (i64.const 23))
              (i64.const 0xC2B2AE3D27D4EB4F))
            (i64.const 0x165667B19E3779F9)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))))
    (block $ones_done
      (loop $ones
        (br_if $ones_done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $hash
          (i64.mul
            (i64.rotl
              (i64.xor
                (local.get $hash)
                (i64.mul (i64.load8_u (local.get $at)) (i64.const 0x27D4EB2F165667C5)))
              (i64.const 11))
            (i64.const 0x9E3779B185EBCA87)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $ones)))
    (local.set $hash
      (i64.mul
        (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 33)))
        (i64.const 0xC2B2AE3D27D4EB4F)))
    (local.set $hash
      (i64.mul
        (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29)))
        (i64.const 0x165667B19E3779F9)))
    (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))

  ;; hashes[i] = XXH64(data[offsets[i] - offsets[0] .. offsets[i + 1] - offsets[0]])
  (func (export "hashArrays")
    (param $data i32) (param $offsets i32) (param $count i32) (param $hashes i32)
    (local $end i32) (local $start i32)
    (local.set $data (i32.sub (local.get $data) (i32.load (local.get $offsets))))
    (local.set $end
      (i32.add (local.get $offsets) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $offsets) (local.get $end)))
        (local.set $start (i32.load (local.get $offsets)))
        (i64.store
          (local.get $hashes)
          (call $xxh64
            (i32.add (local.get $data) (local.get $start))
            (i32.sub (i32.load offset=4 (local.get $offsets)) (local.get $start))))
        (local.set $hashes (i32.add (local.get $hashes) (i32.const 8)))
        (local.set $offsets (i32.add (local.get $offsets) (i32.const 4)))
        (br $next))))

  ;; hashes[i] = XXH64 of the i-th value of `width` bytes
  (func (export "hashFixed")
    (param $data i32) (param $width i32) (param $count i32) (param $hashes i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i64.store (local.get $hashes) (call $xxh64 (local.get $data) (local.get $width)))
        (local.set $data (i32.add (local.get $data) (local.get $width)))
        (local.set $hashes (i32.add (local.get $hashes) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; Distinct hashes, by a table of mask + 1 slots of 8 bytes, zeros before; 0 is a free slot, so
  ;; a hash of 0 is counted apart.
  (func (export "countDistinct")
    (param $hashes i32) (param $count i32) (param $table i32) (param $mask i32) (result i32)
    (local $hash i64) (local $found i64) (local $slot i32) (local $distinct i32) (local $zero i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (local.set $hash (i64.load (local.get $hashes)))
        (local.set $hashes (i32.add (local.get $hashes) (i32.const 8)))
        (if (i64.eqz (local.get $hash))
          (then
            (local.set $zero (i32.const 1))
            (br $next)))
        (local.set $slot (i32.and (i32.wrap_i64 (local.get $hash)) (local.get $mask)))
        (loop $probe
          (local.set $found
            (i64.load
              (i32.add (local.get $table) (i32.shl (local.get $slot) (i32.const 3)))))
          (br_if $next (i64.eq (local.get $found) (local.get $hash)))
          (if (i64.eqz (local.get $found))
            (then
              (i64.store
                (i32.add (local.get $table) (i32.shl (local.get $slot) (i32.const 3)))
                (local.get $hash))
              (local.set $distinct (i32.add (local.get $distinct) (i32.const 1)))
              (br $next)))
          (local.set $slot
            (i32.and (i32.add (local.get $slot) (i32.const 1)) (local.get $mask)))
          (br $probe))))
    (i32.add (local.get $distinct) (local.get $zero)))

  (func $set (param $word i32) (param $key i32) (param $salt i32)
    (i32.store
      (local.get $word)
      (i32.or
        (i32.load (local.get $word))
        (i32.shl
          (i32.const 1)
          (i32.shr_u (i32.mul (local.get $key) (local.get $salt)) (i32.const 27))))))

  ;; Sets eight bits per hash in one of `blocks` blocks of 32 bytes.
  (func (export "insert")
    (param $hashes i32) (param $count i32) (param $filter i32) (param $blocks i32)
    (local $hash i64) (local $block i32) (local $key i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (local.set $hash (i64.load (local.get $hashes)))
        (local.set $hashes (i32.add (local.get $hashes) (i32.const 8)))
        (local.set $key (i32.wrap_i64 (local.get $hash)))
        (local.set $block
          (i32.add
            (local.get $filter)
            (i32.shl
              (i32.wrap_i64
                (i64.shr_u
                  (i64.mul
                    (i64.shr_u (local.get $hash) (i64.const 32))
                    (i64.extend_i32_u (local.get $blocks)))
                  (i64.const 32)))
              (i32.const 5))))
        (call $set (local.get $block) (local.get $key) (i32.const 0x47b6137b))
        (call $set (i32.add (local.get $block) (i32.const 4)) (local.get $key) (i32.const 0x44974d91))
        (call $set (i32.add (local.get $block) (i32.const 8)) (local.get $key) (i32.const 0x8824ad5b))
        (call $set (i32.add (local.get $block) (i32.const 12)) (local.get $key) (i32.const 0xa2b7289d))
        (call $set (i32.add (local.get $block) (i32.const 16)) (local.get $key) (i32.const 0x705495c7))
        (call $set (i32.add (local.get $block) (i32.const 20)) (local.get $key) (i32.const 0x2df1424b))
        (call $set (i32.add (local.get $block) (i32.const 24)) (local.get $key) (i32.const 0x9efc4947))
        (call $set (i32.add (local.get $block) (i32.const 28)) (local.get $key) (i32.const 0x5c6bfb31))
        (br $next)))))
