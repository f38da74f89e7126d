;; XXH3 with 128 bits, seed 0 and the default secret (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)
;; of inputs above 240 bytes, where it is one loop of SIMD: shorter ones have forms of their own, and
;; chunk-hash.ts fills them up with zeros instead. The secret stands at 0, the result goes to 192, the
;; input begins at 256. Nothing here checks bounds beyond the engine's own.
(module
  (memory (export "memory") 8)
  (data (i32.const 0)
    "\b8\fe\6c\39\23\a4\4b\be\7c\01\81\2c\f7\21\ad\1c\de\d4\6d\e9\83\90\97\db\72\40\a4\a4\b7\b3\67\1f"
    "\cb\79\e6\4e\cc\c0\e5\78\82\5a\d0\7d\cc\ff\72\21\b8\08\46\74\f7\43\24\8e\e0\35\90\e6\81\3a\26\4c"
    "\3c\28\52\bb\91\c3\00\cb\88\d0\65\8b\1b\53\2e\a3\71\64\48\97\a2\0d\f9\4e\38\19\ef\46\a9\de\ac\d8"
    "\a8\fa\76\3f\e3\9c\34\3f\f9\dc\bb\c7\c7\0b\4f\1d\8a\51\e0\4b\cd\b4\59\31\c8\9f\7e\c9\d9\78\73\64"
    "\ea\c5\ac\83\34\d3\eb\c3\c5\81\a0\ff\fa\13\63\eb\17\0d\dd\51\b7\f0\da\49\d3\16\55\26\29\d4\68\9e"
    "\2b\16\be\58\7d\47\a1\fc\8f\f8\b8\d1\7a\d0\31\ce\45\cb\3a\8f\95\16\04\28\af\d7\fb\ca\bb\4b\40\7e")

  ;; Mixes 16 bytes of input at `at` into a pair of accumulators.
  (func $mix (param $acc v128) (param $at i32) (param $key i32) (result v128)
    (local $data v128) (local $keyed v128)
    (local.set $data (v128.load align=1 (local.get $at)))
    (local.set $keyed (v128.xor (local.get $data) (v128.load align=1 (local.get $key))))
    (i64x2.add
      (i64x2.add
        (local.get $acc)
        (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
          (local.get $data) (local.get $data)))
      ;; per 64-bit lane: its low half times its high half
      (i64x2.extmul_low_i32x4_u
        (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11
          (local.get $keyed) (local.get $keyed))
        (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15
          (local.get $keyed) (local.get $keyed)))))

  (func $scramble (param $acc v128) (param $key i32) (result v128)
    (i64x2.mul
      (v128.xor
        (v128.xor (local.get $acc) (i64x2.shr_u (local.get $acc) (i32.const 47)))
        (v128.load (local.get $key)))
      (v128.const i64x2 0x9E3779B1 0x9E3779B1)))

  ;; The two halves of a 128-bit product, folded.
  (func $fold (param $a i64) (param $b i64) (result i64)
    (local $aLow i64) (local $aHigh i64) (local $bLow i64) (local $bHigh i64)
    (local $low i64) (local $cross i64) (local $middle i64)
    (local.set $aLow (i64.and (local.get $a) (i64.const 0xffffffff)))
    (local.set $aHigh (i64.shr_u (local.get $a) (i64.const 32)))
    (local.set $bLow (i64.and (local.get $b) (i64.const 0xffffffff)))
    (local.set $bHigh (i64.shr_u (local.get $b) (i64.const 32)))
    (local.set $low (i64.mul (local.get $aLow) (local.get $bLow)))
    (local.set $cross
      (i64.add
        (i64.mul (local.get $aHigh) (local.get $bLow))
        (i64.shr_u (local.get $low) (i64.const 32))))
    (local.set $middle
      (i64.add
        (i64.mul (local.get $aLow) (local.get $bHigh))
        (i64.and (local.get $cross) (i64.const 0xffffffff))))
    (i64.xor
      (i64.or
        (i64.shl (local.get $middle) (i64.const 32))
        (i64.and (local.get $low) (i64.const 0xffffffff)))
      (i64.add
        (i64.add
          (i64.mul (local.get $aHigh) (local.get $bHigh))
          (i64.shr_u (local.get $cross) (i64.const 32)))
        (i64.shr_u (local.get $middle) (i64.const 32)))))

  (func $foldPair (param $acc v128) (param $key i32) (result i64)
    (call $fold
      (i64.xor (i64x2.extract_lane 0 (local.get $acc)) (i64.load align=1 (local.get $key)))
      (i64.xor
        (i64x2.extract_lane 1 (local.get $acc))
        (i64.load offset=8 align=1 (local.get $key)))))

  (func $avalanche (param $hash i64) (result i64)
    (local.set $hash
      (i64.mul
        (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 37)))
        (i64.const 0x165667919E3779F9)))
    (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))

  ;; Hashes the `length` bytes from 256 on; more than 240.
  (func (export "hash") (param $length i32)
    (local $at i32) (local $key i32) (local $last i32) (local $bytes i64)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $a (v128.const i64x2 0xC2B2AE3D 0x9E3779B185EBCA87))
    (local.set $b (v128.const i64x2 0xC2B2AE3D27D4EB4F 0x165667B19E3779F9))
    (local.set $c (v128.const i64x2 0x85EBCA77C2B2AE63 0x85EBCA77))
    (local.set $d (v128.const i64x2 0x27D4EB2F165667C5 0x9E3779B1))
    (local.set $at (i32.const 256))
    (local.set $last (i32.add (local.get $length) (i32.const 192)))
    (block $done
      (loop $stripes
        ;; the last stripe, which may overlap the one before, comes behind the loop
        (br_if $done (i32.ge_u (local.get $at) (local.get $last)))
        (local.set $a (call $mix (local.get $a) (local.get $at) (local.get $key)))
        (local.set $b (call $mix (local.get $b) (i32.add (local.get $at) (i32.const 16)) (i32.add (local.get $key) (i32.const 16))))
        (local.set $c (call $mix (local.get $c) (i32.add (local.get $at) (i32.const 32)) (i32.add (local.get $key) (i32.const 32))))
        (local.set $d (call $mix (local.get $d) (i32.add (local.get $at) (i32.const 48)) (i32.add (local.get $key) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (local.set $key (i32.add (local.get $key) (i32.const 8)))
        (br_if $stripes (i32.lt_u (local.get $key) (i32.const 128)))
        (local.set $a (call $scramble (local.get $a) (i32.const 128)))
        (local.set $b (call $scramble (local.get $b) (i32.const 144)))
        (local.set $c (call $scramble (local.get $c) (i32.const 160)))
        (local.set $d (call $scramble (local.get $d) (i32.const 176)))
        (local.set $key (i32.const 0))
        (br $stripes)))
    (local.set $a (call $mix (local.get $a) (local.get $last) (i32.const 121)))
    (local.set $b (call $mix (local.get $b) (i32.add (local.get $last) (i32.const 16)) (i32.const 137)))
    (local.set $c (call $mix (local.get $c) (i32.add (local.get $last) (i32.const 32)) (i32.const 153)))
    (local.set $d (call $mix (local.get $d) (i32.add (local.get $last) (i32.const 48)) (i32.const 169)))
    (local.set $bytes (i64.extend_i32_u (local.get $length)))
    (i64.store (i32.const 192)
      (call $avalanche
        (i64.add
          (i64.add
            (i64.add
              (i64.add
                (i64.mul (local.get $bytes) (i64.const 0x9E3779B185EBCA87))
                (call $foldPair (local.get $a) (i32.const 11)))
              (call $foldPair (local.get $b) (i32.const 27)))
            (call $foldPair (local.get $c) (i32.const 43)))
          (call $foldPair (local.get $d) (i32.const 59)))))
    (i64.store (i32.const 200)
      (call $avalanche
        (i64.add
          (i64.add
            (i64.add
              (i64.add
                (i64.xor
                  (i64.mul (local.get $bytes) (i64.const 0xC2B2AE3D27D4EB4F))
                  (i64.const -1))
                (call $foldPair (local.get $a) (i32.const 117)))
              (call $foldPair (local.get $b) (i32.const 133)))
            (call $foldPair (local.get $c) (i32.const 149)))
          (call $foldPair (local.get $d) (i32.const 165)))))))
