"""Operations with the same bits on every x86-64 processor that has AVX2 and FMA."""
