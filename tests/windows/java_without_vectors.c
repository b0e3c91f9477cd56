/* java.exe for a reduced Java under Wine: Spark always adds the module jdk.incubator.vector, which it lacks.
 *
 * Starts javareal.exe beside it with the same command line but without that option, hands on its input, output and
 * exit code, and takes it along when it is ended.
 */
#include <windows.h>
#include <wchar.h>

static void cut(wchar_t *line, const wchar_t *what) {
    wchar_t *found;
    while ((found = wcsstr(line, what)) != NULL)
        wmemmove(found, found + wcslen(what), wcslen(found + wcslen(what)) + 1);
}

/* The arguments: what stands behind the program's own name, which may be quoted. */
static wchar_t *arguments(void) {
    wchar_t *rest = GetCommandLineW();
    int quoted = 0;
    for (; *rest && (quoted || (*rest != L' ' && *rest != L'\t')); rest++)
        if (*rest == L'"')
            quoted = !quoted;
    return rest;
}

int wmain(void) {
    static wchar_t program[MAX_PATH], line[65536];
    wchar_t *name;
    STARTUPINFOW start = {sizeof start};
    PROCESS_INFORMATION java;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    HANDLE job = CreateJobObjectW(NULL, NULL);
    DWORD code = 1;

    GetModuleFileNameW(NULL, program, MAX_PATH);
    name = wcsrchr(program, L'\\') + 1;
    wcscpy(name, L"javareal.exe");
    swprintf(line, sizeof line / sizeof *line, L"\"%ls\"%ls", program, arguments());
    /* Spark's batch files put it in quotes. */
    cut(line, L"\"--add-modules=jdk.incubator.vector\"");
    cut(line, L"--add-modules=jdk.incubator.vector");

    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &java))
        return 1;
    AssignProcessToJobObject(job, java.hProcess);
    WaitForSingleObject(java.hProcess, INFINITE);
    GetExitCodeProcess(java.hProcess, &code);
    return (int)code;
}
