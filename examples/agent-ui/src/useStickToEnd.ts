import { useCallback, useEffect, useRef } from "react";

/** Keeps the end of a growing list in sight, unless it is empty or the reader has scrolled away from it. */
export function useStickToEnd<T extends HTMLElement>(isEmpty: boolean) {
  const isAtEnd = useRef(true);
  const hasEnd = useRef(false);
  useEffect(() => void (hasEnd.current = !isEmpty));

  const ref = useCallback((list: T | null) => {
    if (!list) return;
    let top = 0;
    const scrolled = () => {
      // The end may have moved on since: only who goes up goes away from it.
      const isNear = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
      if (isNear) isAtEnd.current = true;
      else if (list.scrollTop < top) isAtEnd.current = false;
      top = list.scrollTop;
    };
    // It grows in frames in which nothing here renders.
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current && hasEnd.current) list.scrollTop = list.scrollHeight;
    });
    observer.observe(list);
    observer.observe(list.firstElementChild!);
    list.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      observer.disconnect();
      list.removeEventListener("scroll", scrolled);
    };
  }, []);
  return { ref, toEnd: useCallback(() => void (isAtEnd.current = true), []) };
}
