import { useCallback, useRef } from "react";

/** Keeps the end of a growing list in sight, unless the reader has scrolled away from it. */
export function useStickToEnd<T extends HTMLElement>() {
  const list = useRef<T>(null);
  const isAtEnd = useRef(true);
  const ref = useCallback((element: T | null) => {
    list.current = element;
    if (!element) return;
    const noticed = () => {
      isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60;
    };
    // It grows in frames in which nothing here renders.
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    observer.observe(element.firstElementChild!);
    element.addEventListener("scroll", noticed, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", noticed);
    };
  }, []);
  const toEnd = useCallback(() => {
    isAtEnd.current = true;
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, []);
  return { ref, toEnd };
}
