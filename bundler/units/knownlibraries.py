"""What is known about libraries and files from their names; bundle.toml overrides all of it.

Rejecting a suitable server is as bad as accepting an unsuitable one. So libraries that ordinary servers do not have,
and that nothing loads unless told to, are optional: preflight warns if they are missing.
"""

from __future__ import annotations

__all__ = ["DRIVERS", "NOT_LOADED", "PACKAGES", "PLUG_INS"]

_NVIDIA = "NVIDIA's driver provides it"
_TEGRA = "only NVIDIA Jetson has it"
_RDMA = "only machines with RDMA hardware have it"
_AMD = "AMD's GPU driver provides it"
_INTEL = "Intel's GPU driver provides it"

DRIVERS = (
    ("libcuda.so.*", _NVIDIA),
    ("libcudadebugger.so.*", _NVIDIA),
    ("libnvidia-*.so*", _NVIDIA),
    ("libnvcuvid.so.*", _NVIDIA),
    ("libnvoptix.so.*", _NVIDIA),
    ("libnvrm_*.so*", _TEGRA),
    ("libnvsci*.so*", _TEGRA),
    ("libnvos.so*", _TEGRA),
    ("libnvdla_*.so*", _TEGRA),
    ("libnvmedia*.so*", _TEGRA),
    ("libibverbs.so.*", _RDMA),
    ("librdmacm.so.*", _RDMA),
    ("libmlx[45].so.*", _RDMA),
    ("libefa.so.*", _RDMA),
    ("libfabric.so.*", _RDMA),
    ("libpsm2.so.*", _RDMA),
    ("libuc[mpst].so.*", _RDMA),
    ("libhsa-runtime64.so.*", _AMD),
    ("libhsakmt.so.*", _AMD),
    ("libdrm_amdgpu.so.*", _AMD),
    ("libze_*.so.*", _INTEL),
    ("libigdgmm.so.*", _INTEL),
    ("libmfx*.so.*", _INTEL),
    ("libvpl.so.*", _INTEL),
    ("libOpenCL.so.*", "only machines with an OpenCL driver have it"),
    ("libnrt.so.*", "only AWS Neuron machines have it"),
    ("libtpu.so*", "only TPU machines have it"),
)
"""Patterns of libraries that come with hardware, and why they are optional."""

_QT = "Qt loads this plug-in only on request"
_STDLIB = "only this module of Python's standard library needs it"
_NVSHMEM = "NVSHMEM loads this plug-in only on request"

PLUG_INS = (
    ("*/[Qq]t*/plugins/*", _QT),
    ("env/plugins/*", _QT),
    ("*/[Qq]t*/qml/*", _QT),
    ("env/qml/*", _QT),
    ("*/libonnxruntime_providers_*.so", "ONNX Runtime loads a provider only on request"),
    ("*/numba/np/ufunc/*pool.*.so", "Numba tries several threading layers"),
    ("*/mpi4py/MPI.*.so", "mpi4py uses whichever MPI is installed"),
    ("*/libcufile_rdma.so*", "cuFile loads it on machines with RDMA hardware"),
    ("*/nvshmem_bootstrap_*.so*", _NVSHMEM),
    ("*/nvshmem_transport_*.so*", _NVSHMEM),
    ("env/lib/python*/lib-dynload/_crypt.*.so", _STDLIB),
    ("env/lib/python*/lib-dynload/nis.*.so", _STDLIB),
    ("env/lib/python*/lib-dynload/_tkinter.*.so", _STDLIB),
    ("env/lib/python*/lib-dynload/_dbm.*.so", _STDLIB),
    ("env/lib/python*/lib-dynload/_gdbm.*.so", _STDLIB),
    ("env/lib/python*/site-packages/*/tests/*", "only a package's tests load it"),
)
"""Patterns of files below the release that are loaded only on request, and why."""

NOT_LOADED = (
    "*/sysroot/*",  # a compiler's, for its linker
    "*/lib/stubs/*",  # CUDA's, for the linker: libcuda.so without a driver
    "*/lib/debug/*",
)
"""Patterns of files that no process loads, although they look loadable: they neither need nor provide libraries."""

PACKAGES = {
    "libGL.so.1": ("libgl1", "mesa-libGL", "libgl"),
    "libEGL.so.1": ("libegl1", "mesa-libEGL", "libegl"),
    "libGLX.so.0": ("libglx0", "libglvnd-glx", "libglx"),
    "libOpenGL.so.0": ("libopengl0", "libglvnd-opengl", "libopengl"),
    "libGLU.so.1": ("libglu1-mesa", "mesa-libGLU", "libglu"),
    "libgbm.so.1": ("libgbm1", "mesa-libgbm", ""),
    "libdrm.so.2": ("libdrm2", "libdrm", "libdrm"),
    "libgomp.so.1": ("libgomp1", "libgomp", "libgomp"),
    "libstdc++.so.6": ("libstdc++6", "libstdc++", "libstdcxx"),
    "libgcc_s.so.1": ("libgcc-s1", "libgcc", "libgcc"),
    "libgfortran.so.5": ("libgfortran5", "libgfortran", "libgfortran5"),
    "libquadmath.so.0": ("libquadmath0", "libquadmath", "libgfortran5"),
    "libatomic.so.1": ("libatomic1", "libatomic", "libatomic"),
    "libz.so.1": ("zlib1g", "zlib", "libzlib"),
    "libbz2.so.1.0": ("libbz2-1.0", "bzip2-libs", "bzip2"),
    "liblzma.so.5": ("liblzma5", "xz-libs", "liblzma"),
    "libzstd.so.1": ("libzstd1", "libzstd", "zstd"),
    "libexpat.so.1": ("libexpat1", "expat", "libexpat"),
    "libffi.so.8": ("libffi8", "libffi", "libffi"),
    "libcrypt.so.1": ("libcrypt1", "libxcrypt-compat", "libxcrypt1"),
    "libcrypt.so.2": ("", "libxcrypt", "libxcrypt"),
    "libnsl.so.1": ("libc6", "libnsl", ""),
    "libnsl.so.2": ("libnsl2", "libnsl2", "libnsl"),
    "libssl.so.3": ("libssl3", "openssl-libs", "openssl"),
    "libcrypto.so.3": ("libssl3", "openssl-libs", "openssl"),
    "libgssapi_krb5.so.2": ("libgssapi-krb5-2", "krb5-libs", "krb5"),
    "libsqlite3.so.0": ("libsqlite3-0", "sqlite-libs", "libsqlite"),
    "libpq.so.5": ("libpq5", "libpq", "libpq"),
    "libodbc.so.2": ("libodbc2", "unixODBC", "unixodbc"),
    "libmariadb.so.3": ("libmariadb3", "mariadb-connector-c", "mariadb-connector-c"),
    "libglib-2.0.so.0": ("libglib2.0-0", "glib2", "libglib"),
    "libgthread-2.0.so.0": ("libglib2.0-0", "glib2", "libglib"),
    "libgobject-2.0.so.0": ("libglib2.0-0", "glib2", "libglib"),
    "libgio-2.0.so.0": ("libglib2.0-0", "glib2", "libglib"),
    "libdbus-1.so.3": ("libdbus-1-3", "dbus-libs", "dbus"),
    "libfontconfig.so.1": ("libfontconfig1", "fontconfig", "fontconfig"),
    "libfreetype.so.6": ("libfreetype6", "freetype", "libfreetype6"),
    "libcairo.so.2": ("libcairo2", "cairo", "cairo"),
    "libpango-1.0.so.0": ("libpango-1.0-0", "pango", "pango"),
    "libnss3.so": ("libnss3", "nss", "nss"),
    "libnspr4.so": ("libnspr4", "nspr", "nspr"),
    "libcups.so.2": ("libcups2", "cups-libs", "libcups"),
    "libasound.so.2": ("libasound2", "alsa-lib", "alsa-lib"),
    "libpulse.so.0": ("libpulse0", "pulseaudio-libs", "pulseaudio-client"),
    "libsndfile.so.1": ("libsndfile1", "libsndfile", "libsndfile"),
    "libportaudio.so.2": ("libportaudio2", "portaudio", "portaudio"),
    "libX11.so.6": ("libx11-6", "libX11", "xorg-libx11"),
    "libX11-xcb.so.1": ("libx11-xcb1", "libX11-xcb", "xorg-libx11"),
    "libXext.so.6": ("libxext6", "libXext", "xorg-libxext"),
    "libXrender.so.1": ("libxrender1", "libXrender", "xorg-libxrender"),
    "libXi.so.6": ("libxi6", "libXi", "xorg-libxi"),
    "libXrandr.so.2": ("libxrandr2", "libXrandr", "xorg-libxrandr"),
    "libXfixes.so.3": ("libxfixes3", "libXfixes", "xorg-libxfixes"),
    "libXcomposite.so.1": ("libxcomposite1", "libXcomposite", "xorg-libxcomposite"),
    "libXdamage.so.1": ("libxdamage1", "libXdamage", "xorg-libxdamage"),
    "libXcursor.so.1": ("libxcursor1", "libXcursor", "xorg-libxcursor"),
    "libSM.so.6": ("libsm6", "libSM", "xorg-libsm"),
    "libICE.so.6": ("libice6", "libICE", "xorg-libice"),
    "libxcb.so.1": ("libxcb1", "libxcb", "libxcb"),
    "libxcb-cursor.so.0": ("libxcb-cursor0", "xcb-util-cursor", "xcb-util-cursor"),
    "libxkbcommon.so.0": ("libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon"),
    "libwayland-client.so.0": ("libwayland-client0", "libwayland-client", "wayland"),
    "libibverbs.so.1": ("libibverbs1", "libibverbs", "rdma-core"),
    "librdmacm.so.1": ("librdmacm1", "librdmacm", "rdma-core"),
    "libOpenCL.so.1": ("ocl-icd-libopencl1", "ocl-icd", "ocl-icd"),
}
"""Packages of Debian and Ubuntu, of Fedora and RHEL, and of conda-forge that have a library; empty where there is none
or it is not known."""
